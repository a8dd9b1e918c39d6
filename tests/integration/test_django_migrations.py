"""A real Django with a real database (sqlite), deployed to a stand-in Dokku."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Done, run, settings_for

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
CONFIG = """
SECRET_KEY, DEBUG, ALLOWED_HOSTS, ROOT_URLCONF = "insecure", False, ["*"], "config"
INSTALLED_APPS, USE_TZ, DEFAULT_AUTO_FIELD = ["shop"], True, "django.db.models.BigAutoField"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}}
urlpatterns = []
"""
MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = {dependencies}
    operations = [{operation}]
"""
CREATE = 'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True))])'
FIELD = 'migrations.AddField("item", "price", models.IntegerField(default=0))'
BROKEN = 'migrations.RunSQL("SELECT * FROM nowhere")'


class Shop(Checkout):
    """A Django project with one app."""

    def __init__(self, path: Path) -> None:
        self.database = path.with_name("shop.sqlite3")
        super().__init__(
            path,
            {
                "Procfile": "worker: sleep 600\n",
                "manage.py": MANAGE,
                "config.py": CONFIG.format(database=str(self.database)),
                "shop/__init__.py": "",
                "shop/models.py": "",
                "shop/migrations/__init__.py": "",
                "shop/migrations/0001_items.py": MIGRATION.format(
                    dependencies=[], operation=CREATE
                ),
            },
        )

    def migration(self, name: str, operation: str) -> str:
        """A commit with one more."""
        needs = [("shop", "0001_items")]
        text = MIGRATION.format(dependencies=needs, operation=operation)
        return self.commit(f"Add {name}", {f"shop/migrations/{name}.py": text})

    @property
    def columns(self) -> list[str]:
        """Of the one table, as the database has it."""
        with sqlite3.connect(self.database) as connection:
            rows = connection.execute("PRAGMA table_info(shop_item)").fetchall()
        connection.close()
        return [row[1] for row in rows]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The project."""
    return Shop(tmp_path / "shop")


def _deploy(server: DokkuStandIn, shop: Shop, **more: str) -> Done:
    env = settings_for(server, AUTO_MIGRATE_ON_DEPLOY="true", **more)
    return run("deploy", cwd=shop.path, env=env)


def test_migrations_run_and_are_verified(dokku: DokkuStandIn, shop: Shop) -> None:
    done = _deploy(dokku, shop)
    assert done.code == 0, done.output
    assert shop.columns == ["id"]
    shop.migration("0002_price", FIELD)
    done = _deploy(dokku, shop)
    assert done.code == 0, done.output
    assert "new migrations (run after the deploy): shop.0002_price" in done.output
    assert "verify the migrations of hello: python manage.py migrate --check" in done.output
    assert shop.columns == ["id", "price"]


def test_migration_that_fails_after_the_deploy_says_what_is_live(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    assert _deploy(dokku, shop).code == 0
    shop.migration("0002_broken", BROKEN)
    done = _deploy(dokku, shop)
    assert done.code == 22, done.output
    assert "no such table: nowhere" in done.output
    assert f"hello runs {shop.head[:7]}" in done.output


def test_migration_that_fails_before_the_traffic_changes_nothing(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    assert _deploy(dokku, shop).code == 0
    good = shop.head
    shop.migration("0002_broken", BROKEN)
    done = _deploy(dokku, shop, MIGRATE="before")
    assert done.code == 20, done.output
    assert dokku.app("hello").running_revision == good
    assert shop.columns == ["id"]


def test_two_branches_with_a_migration_are_explained(dokku: DokkuStandIn, shop: Shop) -> None:
    shop.migration("0002_price", FIELD)
    shop.migration("0002_stock", FIELD.replace("price", "stock"))
    done = _deploy(dokku, shop)
    assert done.code == 22
    assert "makemigrations --merge" in done.output


@pytest.mark.parametrize("when", ["after", "before"])
def test_its_own_check_of_a_deployment_runs_on_request(
    dokku: DokkuStandIn, shop: Shop, when: str
) -> None:
    done = _deploy(dokku, shop, DJANGO_CHECK_DEPLOY="true", MIGRATE=when)
    assert done.code == 0, done.output
    assert "security.W" in done.output  # warnings are shown, and do not fail
    assert "→ check the deployment of hello" in done.output
    assert "security.W" not in _deploy(dokku, shop, REDEPLOY="true").output


def test_how_manage_py_is_called_can_be_said(dokku: DokkuStandIn, shop: Shop) -> None:
    done = _deploy(dokku, shop, DJANGO_MANAGE_COMMAND="env DJANGO=1 python3 manage.py")
    assert "env DJANGO=1 python3 manage.py migrate --noinput" in done.output


def test_undoing_by_number_is_refused_with_the_way_to_go(dokku: DokkuStandIn, shop: Shop) -> None:
    assert _deploy(dokku, shop).code == 0
    shop.migration("0002_price", FIELD)
    assert _deploy(dokku, shop).code == 0
    env = settings_for(dokku)
    done = run("ci-deploy", "rollback", "--migrations", "1", cwd=shop.path, env=env)
    assert done.code == 14
    assert "ci-deploy run -- python manage.py migrate APP NAME" in done.output
    done = run("ci-deploy", "rollback", cwd=shop.path, env=env)
    assert done.code == 0
    assert "(not undone): shop.0002_price" in done.output
