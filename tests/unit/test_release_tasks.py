"""What an app's own files ask of the platform, where it looks for them, and what the log says of
those that nobody understands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from ci_deploy.errors import Unauthorized
from ci_deploy.layers.providers.dokku import release_tasks
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.layers.providers.heroku import release_tasks as heroku
from ci_deploy.layers.providers.heroku import review
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context

BOM = "\ufeff"


def ctx(folder: str = "", **files: str) -> Context:
    """A run of a revision with these files."""
    there = {re.sub("(?<=app)_", ".", name): text for name, text in files.items()}
    if folder:
        there = {f"{folder}/{name}": text for name, text in there.items()}
    repository = SimpleNamespace(files=lambda _, *paths: [there.get(path, "") for path in paths])
    settings = SimpleNamespace(app_dir=folder)
    made = SimpleNamespace(revision="a" * 40, repository=repository, settings=settings)
    made.in_app_dir = partial(Context.in_app_dir, cast("Context", made))
    made.texts = partial(Context.texts, cast("Context", made))
    return cast("Context", made)


JSONC = """{
  // as Dokku 0.37 reads it
  "addons": ["postgres"], /* and more */
  "scripts": {"dokku": {"predeploy": "bin/migrate // all"},},
}"""


@pytest.mark.parametrize("folder", ["", "web"])
@pytest.mark.parametrize("text", [JSONC, BOM + JSONC], ids=["comments", "and a mark"])
def test_app_json_with_comments_is_understood(folder: str, text: str) -> None:
    """The addons hint and the second migration are found in it (faults A15)."""
    found = ctx(folder, app_json=text)
    assert release_tasks.tasks(found) == {
        "app.json's `scripts.dokku.predeploy`": "bin/migrate // all"
    }
    assert "app.json names addons (postgres), which Dokku ignores" in release_tasks.hints(found)[0]
    assert not [hint for hint in release_tasks.hints(found) if "not valid JSON" in hint]


@pytest.mark.parametrize("value", ["true", "5", '"x"', "[]", "{}", "null"])
def test_app_json_with_other_types_says_nothing(value: str) -> None:
    """tests/hostile has found two of them: each ended in a fault of ours."""
    named = ("addons", "scripts", "environments")
    found = ctx(app_json=json.dumps(dict.fromkeys(named, json.loads(value))))
    assert release_tasks.tasks(found) == {}
    assert release_tasks.hints(found) == []
    manifest = review.manifest(found) or {}
    assert (review.review_env(manifest), review.addon_names(manifest)) == ({}, [])
    within = {"environments": {"review": json.loads(value)}}
    assert review.review_env(within) == {}


@pytest.mark.parametrize("text", ['{"scripts": ', "{'a': 1}", "no", '{"a": 1} x'])
def test_app_json_that_cannot_be_parsed_is_told(text: str) -> None:
    """It is not read as empty in silence (faults A15)."""
    [hint] = release_tasks.hints(ctx(app_json=text))
    assert hint.startswith("app.json is not valid JSON: ")
    assert hint.endswith("Dokku may reject it; ci-deploy ignores it.")


@pytest.mark.parametrize("name", ["Procfile", "app.json"])
def test_byte_order_mark_is_told_and_read_over(name: str) -> None:
    """In Procfile too (faults A15)."""
    texts = {"Procfile": f"{BOM}release: bin/migrate\n", "app.json": f"{BOM}{{}}"}
    found = ctx(**{name.replace(".", "_"): texts[name]})
    [hint] = release_tasks.hints(found)
    assert hint.startswith(f"{name} begins with a byte order mark")
    if name == "Procfile":
        assert release_tasks.tasks(found) == {"the Procfile's `release:`": "bin/migrate"}


# --- where the platform looks for them ---


class Server:
    """Answers the questions for paths; a question that is denied raises, as the acl plugin's."""

    def __init__(self, denied: str = "", **told: str | None) -> None:
        self.told = told
        self.denied = denied

    def ask(self, *questions: Sequence[str]) -> list[Result]:
        if self.denied in [words[0] for words in questions]:
            raise Unauthorized("denied.")
        return [self._answer(words[0].partition(":")[0].replace("-", "_")) for words in questions]

    def _answer(self, plugin: str) -> Result:
        told = self.told.get(plugin, "")
        return Result(("ssh",), int(told is None), out=f"{told}\n".encode())


def found_on(server: Server, folder: str = "", *ours: str) -> release_tasks.Places:
    asked = cast("DokkuServer", server)
    return release_tasks.places(asked, "hello", ours=ours, folder=folder)


@pytest.mark.parametrize(
    ("server", "folder", "procfile", "app_json"),
    [
        (Server(ps="Procfile", app_json="app.json"), "", "Procfile", "app.json"),
        (Server(ps=".dokku/Procfile.api"), "", ".dokku/Procfile.api", "app.json"),
        (Server(ps="/deploy/Procfile", app_json="a.json"), "", "deploy/Procfile", "a.json"),
        (Server(builder="api"), "", "api/Procfile", "api/app.json"),
        (Server(builder="/api/", ps="Procfile.web"), "", "api/Procfile.web", "api/app.json"),
        (Server(builder="api"), "api", "Procfile", "app.json"),  # APP_DIR: it is asked for there
        (Server(builder="ours"), "", "Procfile", "app.json"),  # it is unset by this deploy
        (Server(ps=None, app_json=None, builder=None), "", "Procfile", "app.json"),  # too old
        (Server(ps="../../etc/x", app_json="a\nb"), "", "Procfile", "app.json"),
        (Server("app-json:report", ps="P"), "", "P", "app.json"),  # an older list of rights
        (Server("ps:report", app_json="a.json"), "", "Procfile", "a.json"),
    ],
)
def test_files_are_those_that_the_server_uses(
    server: Server, folder: str, procfile: str, app_json: str
) -> None:
    """Public pipelines set `procfile-path` for each app of a repository."""
    assert found_on(server, folder, "ours") == (procfile, app_json)


def test_release_task_of_another_app_does_not_count() -> None:
    files = {"Procfile": "release: bin/rails db:migrate\n", "api/Procfile": "web: x\n"}
    found = ctx(**files)
    assert release_tasks.tasks(found, release_tasks.Places("api/Procfile", "app.json")) == {}
    files["api/Procfile"] = "web: x\nrelease: bin/migrate\n"
    found = ctx(**files)
    assert release_tasks.tasks(found, release_tasks.Places("api/Procfile", "app.json")) == {
        "api/Procfile's `release:`": "bin/migrate"
    }


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({}, "the Procfile's"),
        ({"PROCFILE": "api/Procfile"}, "api/Procfile's"),  # multi-procfile
        ({"PROJECT_PATH": "api"}, "api/Procfile's"),  # subdir
        ({"APP_BASE": "/api/"}, "api/Procfile's"),  # monorepo
        ({"APP_BASE": "https://hello.example.com"}, "the Procfile's"),  # the app's own
        ({"PROJECT_PATH": "../x", "PROCFILE": "gone/Procfile"}, "the Procfile's"),
    ],
)
def test_procfile_is_the_one_that_heroku_uses(config: dict[str, str], where: str) -> None:
    text = "release: bin/migrate\n"
    found = ctx(**{"Procfile": text, "api/Procfile": text})
    assert heroku.tasks(found, config) == {f"{where} `release:`": "bin/migrate"}


def test_files_that_are_right_or_not_there_give_no_hint() -> None:
    """Nothing is told that nobody has to do (faults A15)."""
    assert release_tasks.hints(ctx()) == []
    assert release_tasks.hints(ctx(Procfile="web: x\n", app_json="{}")) == []
    assert "app.yml, which Dokku ignores" in release_tasks.hints(ctx(app_yml="a: 1\n"))[0]
    [hint] = release_tasks.hints(ctx(DOKKU_SCALE="web=1\nworker=1\n"))
    assert hint.startswith("the repository has a DOKKU_SCALE, which Dokku ignores")
