"""Where in a repository its apps are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_deploy.commands import layout
from ci_deploy.commands.layout import Framework

MANAGE = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
RAILS = ("Gemfile", "config/application.rb")


def repository(root: Path, *paths: str, **texts: str) -> Path:
    """Files with what makes them count; `texts` for those whose name is a word."""
    for path in paths:
        text = MANAGE if path.endswith("manage.py") else ""
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for name, text in texts.items():
        (root / name).write_text(text)
    return root


def rails(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{each}" for each in RAILS)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ((), [""]),
        (("index.html",), [""]),
        (("manage.py", "requirements.txt"), [""]),
        (("src/manage.py", "pyproject.toml"), [""]),
        (("mysite/manage.py", "requirements.txt"), [""]),  # `startproject` without the dot
        (("mysite/manage.py", "requirements/base.txt"), [""]),
        (("backend/manage.py", "backend/requirements.txt", "frontend/package.json"), ["backend"]),
        (("backend/src/manage.py", "backend/requirements/base.txt"), ["backend"]),
        (rails("api"), ["api"]),
        (("apps/shop/Procfile", "apps/shop/go.mod"), ["apps/shop"]),
        (("Procfile", "backend/manage.py", "backend/requirements.txt"), [""]),
        (("Dockerfile", "api/Dockerfile", "api/package.json"), [""]),
        (("package.json", "docker/Dockerfile"), [""]),
        (("package.json", "backend/manage.py", "backend/Pipfile"), ["", "backend"]),
        ((*rails("api"), "ml/manage.py", "ml/pyproject.toml"), ["api", "ml"]),
        (("api/Dockerfile", "web/Dockerfile"), ["api", "web"]),
        # what is not the project's own
        (("app/manage.py", "app/Pipfile", "venv/x/manage.py", "venv/x/Procfile"), ["app"]),
        (("app/Procfile", "mine/pyvenv.cfg", "mine/lib/manage.py", "mine/lib/Procfile"), ["app"]),
        (("app/Procfile", ".venv/lib/Procfile", "node_modules/x/Procfile"), ["app"]),
        (("app/Procfile", "lib/other/.git", "lib/other/Procfile"), ["app"]),  # a submodule
        (("app/Procfile", "tests/site/manage.py", "tests/site/Procfile"), ["app"]),
    ],
)
def test_the_directories_of_apps_are_found(
    tmp_path: Path, paths: tuple[str, ...], expected: list[str]
) -> None:
    assert layout.folders(repository(tmp_path, *paths), on_docker=False) == expected


def test_a_compose_file_at_the_top_makes_it_the_app_where_that_is_deployed(tmp_path: Path) -> None:
    """Elsewhere it is only for development."""
    root = repository(tmp_path, "docker-compose.yml", *rails("backend"), "frontend/package.json")
    assert layout.folders(root, on_docker=True) == [""]
    assert layout.folders(root, on_docker=False) == ["backend"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("manage.py", "hello/manage.py"), Framework("django")),  # the top wins
        (("src/manage.py",), Framework("django", "src")),
        (("src/manage.py", "src/lib/other/manage.py"), Framework("django", "src")),
        (("a/manage.py", "b/manage.py"), Framework(rivals=("a (Django)", "b (Django)"))),
        ((*rails("api"), "ml/manage.py"), Framework(rivals=("api (Rails)", "ml (Django)"))),
        (RAILS, Framework("rails")),
        (rails("api"), Framework("rails", "api")),
        # an engine, with an app only for its tests
        (("Gemfile", "bin/rails", "test/dummy/config/application.rb"), Framework()),
    ],
)
def test_the_nearest_framework_is_the_apps_and_none_of_several(
    tmp_path: Path, paths: tuple[str, ...], expected: Framework
) -> None:
    assert layout.framework(repository(tmp_path, *paths)) == expected


def test_a_manage_py_of_something_else_is_not_djangos(tmp_path: Path) -> None:
    """Flask-Script has one; a link counts as what it leads to."""
    root = repository(tmp_path)
    (root / "manage.py").write_text("from flask_script import Manager\n")
    assert layout.framework(root) == Framework()
    (root / "src").mkdir()
    (root / "real.py").write_text(MANAGE)
    (root / "src/manage.py").symlink_to("../real.py")
    assert layout.framework(root) == Framework("django", "src")
