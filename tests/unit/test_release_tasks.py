"""What an app's own files ask of Dokku, and what the log says of those that nobody understands."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from ci_deploy.layers.providers.dokku import release_tasks
from ci_deploy.run.context import Context

BOM = "\ufeff"


def ctx(folder: str = "", **files: str) -> Context:
    """A run of a revision with these files."""
    there = {name.replace("_", "."): text for name, text in files.items()}
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


@pytest.mark.parametrize("text", ['{"scripts": ', "{'a': 1}", "no", '{"a": 1} x'])
def test_app_json_that_cannot_be_parsed_is_told(text: str) -> None:
    """It is not read as empty in silence (faults A15)."""
    [hint] = release_tasks.hints(ctx(app_json=text))
    assert hint.startswith("app.json is not valid JSON: ")
    assert hint.endswith("Its scripts and variables could not be checked.")


@pytest.mark.parametrize("name", ["Procfile", "app.json"])
def test_byte_order_mark_is_told_and_read_over(name: str) -> None:
    """In Procfile too (faults A15)."""
    texts = {"Procfile": f"{BOM}release: bin/migrate\n", "app.json": f"{BOM}{{}}"}
    found = ctx(**{name.replace(".", "_"): texts[name]})
    [hint] = release_tasks.hints(found)
    assert hint.startswith(f"{name} begins with a byte order mark")
    if name == "Procfile":
        assert release_tasks.tasks(found) == {"the Procfile's `release:`": "bin/migrate"}


def test_files_that_are_right_or_not_there_give_no_hint() -> None:
    """Nothing is told that nobody has to do (faults A15)."""
    assert release_tasks.hints(ctx()) == []
    assert release_tasks.hints(ctx(Procfile="web: x\n", app_json="{}")) == []
    assert "app.yml, which Dokku ignores" in release_tasks.hints(ctx(app_yml="a: 1\n"))[0]
