"""Which compose file `init` chooses, and which images it builds and how: as Compose would."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci_deploy.commands import layout
from ci_deploy.commands.builds import Image
from ci_deploy.commands.composed import Composed, composed
from tests.unit.composed_files import BUILDS, IMAGE, REAL, Real, project, web

APP = "${DOCKER_REGISTRY}/acme/shop"
ONE = f"services:\n  app:\n    build: .\n    image: {APP}:${{DEPLOY_TAG}}\n"


def write(root: Path, files: Mapping[str, str]) -> None:
    """Files, and a Dockerfile for each `Dockerfile` that is named without its text."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())


def found(root: Path, folder: str = "", *wanted: str) -> Composed:
    return composed(root, folder, layout.files(root / folder), wanted)


# --- which file ---


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
    write(tmp_path, dict.fromkeys(paths, ONE))
    expected = (paths[files],) if isinstance(files, int) else files
    assert found(tmp_path)[:2] == (expected, rivals)


def test_a_file_that_only_adds_to_the_usual_one_comes_with_it(tmp_path: Path) -> None:
    adding = "services:\n  app: &a { restart: always, ports: [ '80:3000' ] }\n"
    write(tmp_path, {"docker-compose.yml": ONE, "docker-compose.prod.yml": adding})
    assert found(tmp_path).files == ("docker-compose.yml", "docker-compose.prod.yml")
    assert found(tmp_path).images == (Image(APP, "."),)
    assert found(tmp_path, "", "docker-compose.yml").files == ("docker-compose.yml",)
    for whole in (
        "x-a: &a {image: x}\nservices:\n  app: {<<: *a}\n",
        "services: {app: {extends: {file: docker-compose.yml, service: app}}}\n",
        "{{ a template }}\n",
    ):
        (tmp_path / "docker-compose.prod.yml").write_text(whole)
        assert found(tmp_path).files == ("docker-compose.prod.yml",)


# --- how images are built ---


@pytest.mark.parametrize(("text", "image"), BUILDS)
def test_a_build_is_read_as_compose_reads_it(tmp_path: Path, text: str, image: Image) -> None:
    """tests/compose/test_composed.py asks Compose itself about the same files."""
    write(tmp_path, project(text))
    said = found(tmp_path, "", "compose.yml")
    assert said.images == (image,)
    assert said.doubts == ()
    assert dict(said.services)["web"] == image.context


def test_several_files_are_merged_service_by_service(tmp_path: Path) -> None:
    """All paths start at the directory of the first one."""
    first = (
        f"services: {{web: {{build: {{context: .., args: [A=1, B=1]}}, {IMAGE}}}, db: {{a: x}}}}"
    )
    second = "services:\n  web: {build: {target: run, args: {B: 2}}}\n  db: {build: ../db}\n"
    third = "services:\n  web: {build: !override {context: ../api}}\n  db: {build: !reset null}\n"
    write(tmp_path, {"ops/a.yml": first, "prod/b.yml": second, "c.yml": third})
    write(tmp_path, {"Dockerfile": "", "api/Dockerfile": ""})
    said = found(tmp_path, "", "ops/a.yml", "prod/b.yml")
    assert said.images == (web(".", "", "run", "A=1", "B=2"),)
    assert said.services == (("web", "."), ("db", "db"))
    said = found(tmp_path, "", "ops/a.yml", "prod/b.yml", "c.yml")
    assert said.images == (web("api"),)
    assert said.services == (("web", "api"),)


@pytest.mark.parametrize(
    ("build", "doubt"),
    [
        (
            "{args: {A: '${A}', B: 1, C: }}",
            "the line lacks --build-arg for `A` and `C`, set by a variable",
        ),
        ("{args: [A]}", "the line lacks --build-arg for `A`, set by a variable"),
        ("{secrets: [token], ssh: [default]}", "the line leaves out `secrets` and `ssh`"),
        ("{additional_contexts: {lib: ../lib}}", "the line leaves out `additional_contexts`"),
        ("{dockerfile_inline: FROM scratch}", "the line leaves out `dockerfile_inline`"),
        ("{entitlements: [network.host]}", "the line leaves out `entitlements`"),
        ("https://git.example.com/acme/web.git", "it is built from another repository"),
        ("git@github.com:acme/web.git", "it is built from another repository"),
        ("../..", "its build context `../..` is not in the repository"),
        ("/srv/web", "its build context `/srv/web` is not in the repository"),
        ("'${DIR:-.}'", "its build context `${DIR:-.}` depends on a variable"),
        ("nothing", "there is no file nothing/Dockerfile"),
        ("{dockerfile: ../../x}", "there is no file ../../x"),
        ("{target: '${STAGE}'}", "its target `${STAGE}` depends on a variable"),
    ],
)
def test_what_a_line_cannot_say_is_a_doubt(tmp_path: Path, build: str, doubt: str) -> None:
    text = f"services: {{web: {{{IMAGE}, build: {build}}}}}"
    write(tmp_path, {"compose.yml": text, "Dockerfile": ""})
    said = found(tmp_path)
    [(service, reason, image)] = said.doubts
    assert service == "web"
    assert reason.startswith(doubt)
    assert (image,) == said.images
    assert image is not None
    assert image.context in {"", ".", "nothing", build}


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        (
            "include: [gone.yml]\n",
            ["compose.yml includes gone.yml, which is not in the repository."],
        ),
        (
            "include: ['oci://x/y']\n",
            ["compose.yml includes oci://x/y, which is not in the repository."],
        ),
        (
            "services: {web: {extends: {file: ../up.yml, service: a}}}",
            ["compose.yml: web extends ../up.yml, which is not in the repository."],
        ),
        (
            f"services: {{a: {{{IMAGE}, build: x}}, b: {{{IMAGE}, build: y}}}}",
            ["the services a and b build it differently"],
        ),
        ("services: {a: {image: 'shop:${DEPLOY_TAG}'}}", ["has neither a registry nor an account"]),
        (
            "services: {a: {image: 'x/${A:-`id`}:${DEPLOY_TAG}'}}",
            ["a shell would not read its name"],
        ),
        (
            "services: {a: {build: x, image: '${CI_REGISTRY_IMAGE}/a:${DEPLOY_TAG}'}}",
            ["the job needs the variables in its name, ${CI_REGISTRY_IMAGE}/a"],
        ),
        (
            (
                "services: {a: {image: 'acme/a:$DEPLOY_TAG', build: x},\n"
                "  b: {image: 'ghcr.io/acme/b:$DEPLOY_TAG', build: x}}"
            ),
            ["the job does not log in to ghcr.io"],
        ),
        (f"services: {{a: {{{IMAGE}}}}}", ["has no `build` for it, and there is no Dockerfile"]),
    ],
)
def test_other_doubts(tmp_path: Path, text: str, doubts: list[str]) -> None:
    write(tmp_path, {"compose.yml": text, "x/Dockerfile": "", "y/Dockerfile": ""})
    said = [each.reason for each in found(tmp_path).doubts]
    assert len(said) == len(doubts)
    assert [part for part, reason in zip(doubts, said, strict=True) if part not in reason] == []


def test_images_without_a_build_are_stages_of_the_dockerfile_if_it_has_them(tmp_path: Path) -> None:
    one = "services: {a: {image: 'x/app:${DEPLOY_TAG}'}}"
    two = "services: {a: {image: 'x/app:${DEPLOY_TAG}'}, b: {image: 'x/jobs:${DEPLOY_TAG}'}}"
    write(tmp_path, {"Dockerfile": "FROM a AS base\nfrom base as jobs\n", "compose.yml": one})
    assert (found(tmp_path).images, found(tmp_path).doubts) == ((Image("x/app"),), ())
    write(tmp_path, {"compose.yml": two})
    said = found(tmp_path)
    assert said.images == (Image("x/app"), Image("x/jobs", target="jobs"))
    assert [each.service for each in said.doubts] == ["a"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("services:\n  web:\n    image: a: b\n", "compose.yml is not valid YAML: line 3: mapping"),
        ("services:\n  web: {{ image }}\n", "line 2: found unhashable key."),
        ("services:\n\tweb: x\n", "line 2: found character '\\t'"),
        ("services: [\n", "line 2: expected"),
        ("a: *b\n", "line 1: found undefined alias"),
        ("a: 1\nb: \x01\n", "line 2: special characters are not allowed."),
        ("[" * 5000, "line 1: nested too deeply."),
        ("services: {web: {extends: {file: bad.yml, service: x}}}", "bad.yml is not valid YAML"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    write(tmp_path, {"compose.yml": text, "bad.yml": "a: b: c\n"})
    said = found(tmp_path)
    assert where in said.unread
    assert said.files == ("compose.yml",)
    assert said.images == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "services:", "services: [a]", "services: {a: }", "a: &a {b: *a}", "include: x",
     "services: {a: [x], b: {build: [1]}}", "include: [[a], {b: 1}]", "1: {2: 3}\n? [x]\n: y",
     "services: {a: {extends: [x]}, b: {extends: {file: [y]}}}",
     "services: {a: {image: [x], build: {context: {b: c}}}}"],
)  # fmt: skip
def test_nonsense_is_no_image(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"compose.yml": text})
    assert found(tmp_path).images == ()


def test_merged_copies_of_copies_do_not_fill_the_memory(tmp_path: Path) -> None:
    levels = (f"x{i}: &x{i} {{<<: [{', '.join([f'*x{i - 1}'] * 9)}]}}\n" for i in range(1, 15))
    begun = time.monotonic()
    write(tmp_path, {"compose.yml": "x0: &x0 {a: 1}\n" + "".join(levels) + ONE})
    assert found(tmp_path).images == (Image(APP, "."),)
    assert time.monotonic() - begun < 5


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
  cron:
    image: {APP}/worker:${{DEPLOY_TAG}}
  other:
    image: {APP}/other:${{DEPLOY_TAG}}-slim
    build: https://git.example.com/acme/other.git
  db:
    image: postgres:17
"""


def test_images_of_an_app_in_a_directory(tmp_path: Path) -> None:
    write(tmp_path, {"shop/deploy/compose.yml": BLOCK})
    assert set(found(tmp_path, "shop").images) == {
        Image(f"{APP}/web", "shop", "docker/Dockerfile", "web"),
        Image(f"{APP}/worker", "shop/worker", "", "run"),
        Image(f"{APP}/other", "https://git.example.com/acme/other.git", tag="${TAG}-slim"),
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
        ("services: { app: {\n  image: 'a/x:${DEPLOY_TAG}' } }\n", "app"),
        ("services:\n  db:\n    image: postgres\n", ""),
        ("", ""),
    ],
)
def test_commands_run_in_the_apps_own_service(tmp_path: Path, text: str, service: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    assert found(tmp_path).service_of("")[0] == service


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (Image("acme/a", "."), 'docker build --push --tag "docker.io/acme/a:$TAG" .'),
        (Image("$DOCKER_REGISTRY/a/b"), 'docker build --push --tag "R/a/b:$TAG" shop'),
        (Image("${DOCKER_REGISTRY:-x.io/y}/a"), 'docker build --push --tag "R/a:$TAG" shop'),
        (Image("${X?no x}/a", tag="v$TAG"), 'docker build --push --tag "${X?no x}/a:v$TAG" shop'),
        (
            Image("localhost:5000/a", "my api", "../D file", "t", ("A=it's $5",)),
            (
                "docker build --push --file 'D file' --target t --build-arg 'A=it'\"'\"'s $5' "
                "--tag \"localhost:5000/a:$TAG\" 'my api'"
            ),
        ),
        (Image("acme/a", "-x"), 'docker build --push --tag "docker.io/acme/a:$TAG" ./-x'),
        (
            Image("acme/a", "https://x.com/r.git#main", "D"),
            "docker build --push --file D --tag \"docker.io/acme/a:$TAG\" 'https://x.com/r.git#main'",
        ),
    ],
)
def test_the_line_that_builds(image: Image, line: str) -> None:
    assert image.build("R", "shop") == line


@pytest.mark.parametrize("name", REAL)
def test_real_files(tmp_path: Path, name: str) -> None:
    """What is essential of files in public repositories, with the tag of ci-deploy."""
    real: Real = REAL[name]
    write(tmp_path, real.files)
    said = found(tmp_path, "", *real.use)
    lines = [image.build("R", "") for image in said.images]
    assert lines == list(real.lines)
    assert [each.reason for each in said.doubts] == list(real.doubts)
