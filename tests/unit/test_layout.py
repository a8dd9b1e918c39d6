"""Where in a repository its apps are, and which compose file and images they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_deploy.commands import layout
from ci_deploy.commands.composed import Composed, Image, composed
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


# --- compose files ---

APP = "${DOCKER_REGISTRY}/acme/shop"
ONE = f"services:\n  app:\n    build: .\n    image: {APP}:${{DEPLOY_TAG}}\n"


def found(root: Path, folder: str = "", *wanted: str) -> Composed:
    return composed(root, folder, layout.files(root / folder), wanted)


@pytest.mark.parametrize(
    ("paths", "files", "rivals"),
    [
        (("compose.yaml",), ("compose.yaml",), ()),
        (("docker-compose.yml", "docker-compose.override.yml"), ("docker-compose.yml",), ()),
        (("docker-compose.yml", "docker-compose.production.yml"), 1, ()),
        (("docker-compose.prod.yml",), ("docker-compose.prod.yml",), ()),
        (("docker-compose.yml", "docker-compose.prod.yml"), 1, ()),
        (("docker-compose.dev.yml", "docker-compose.prod.yaml"), 1, ()),
        (("docker-compose.dev.yml", "compose.yml", "dev/compose.yml"), ("compose.yml",), ()),
        (("deploy/compose.yml",), ("deploy/compose.yml",), ()),
        (("deploy/compose.yml", "deploy/compose.test.yml"), ("deploy/compose.yml",), ()),
        (("deploy/compose.yml", ".devcontainer/compose.yml"), ("deploy/compose.yml",), ()),
        (("compose.a.yml", "compose.b.yml"), (), ("compose.a.yml", "compose.b.yml")),
        (("a/compose.yml", "b/compose.yml"), (), ("a/compose.yml", "b/compose.yml")),
        (("x.yml", "README.md"), (), ()),
    ],
)
def test_the_compose_file_is_the_one_for_production_and_none_of_several(
    tmp_path: Path, paths: tuple[str, ...], files: tuple[str, ...] | int, rivals: tuple[str, ...]
) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(ONE)
    expected = (paths[files],) if isinstance(files, int) else files
    assert found(tmp_path)[:2] == (expected, rivals)


def test_a_file_that_only_adds_to_the_usual_one_comes_with_it(tmp_path: Path) -> None:
    adding = "services:\n  app:\n    restart: always\n    ports: [ '80:3000' ]\n"
    repository(tmp_path, **{"docker-compose.yml": ONE, "docker-compose.prod.yml": adding})
    assert found(tmp_path).files == ("docker-compose.yml", "docker-compose.prod.yml")
    assert found(tmp_path).images == (Image(APP, "."),)
    assert found(tmp_path, "", "docker-compose.yml").files == ("docker-compose.yml",)


BLOCK = f"""
x-web: &web
  build:
    context: ..
    dockerfile: docker/Dockerfile
    target: web
  image: "{APP}/web:${{DEPLOY_TAG:-latest}}"

services:
  # of the app
  web:
    <<: *web
    ports:
      - "80:80"
  worker:
    image: {APP}/worker:$DEPLOY_TAG
    build: {{ context: ../worker, target: run }}
  other:
    image: {APP}/other:${{DEPLOY_TAG}}
    build: https://git.example.com/acme/other.git
  db:
    image: postgres:17
"""


def test_images_are_built_as_the_compose_file_says(tmp_path: Path) -> None:
    (tmp_path / "shop/deploy").mkdir(parents=True)
    (tmp_path / "shop/deploy/compose.yml").write_text(BLOCK)
    assert set(found(tmp_path, "shop").images) == {
        Image(f"{APP}/web", "shop", "docker/Dockerfile", "web"),
        Image(f"{APP}/worker", "shop/worker", "", "run"),
        Image(f"{APP}/other"),
    }
    services = found(tmp_path, "shop")
    assert services.service_of("shop/src") == ("web", "shop")
    assert services.service_of("shop/worker/src") == ("worker", "shop/worker")
    assert services.service_of("elsewhere") == ("web", ""), "built from nothing that holds it"


@pytest.mark.parametrize(
    ("text", "service"),
    [
        (ONE, "app"),
        (ONE.replace("app:", "web:"), "web"),
        (ONE.replace("app:", "rails: # ours") + "  db:\n    image: postgres\n", "rails"),
        ("services: { app: {\n  image: 'x:${DEPLOY_TAG}' } }\n", ""),
        ("services:\n  db:\n    image: postgres\n", ""),
        ("", ""),
    ],
)
def test_commands_run_in_the_apps_own_service(tmp_path: Path, text: str, service: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    assert found(tmp_path).service_of("")[0] == service
