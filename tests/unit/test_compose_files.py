"""Which compose file is deployed when nobody says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.docker.files import compose_files


class _Ctx:
    """A checkout with these files, all committed."""

    def __init__(self, path: Path, *names: str) -> None:
        self.names, self.workspace, self.revision = names, path, "1" * 40
        self.settings = SimpleNamespace(app_dir="")
        self.said: list[str] = []
        self.console = SimpleNamespace(indent=self.said.append, warning=self.said.append)
        self.repository = SimpleNamespace(git=self._git, head=self.revision)
        self.facts = SimpleNamespace(build="7")

    def _git(self, command: str, *words: str, **_: object) -> Any:
        if command == "ls-tree":
            return SimpleNamespace(exit_code=0, out="\0".join(self.names).encode())
        found = words[-1].partition(":")[2] in self.names
        return SimpleNamespace(exit_code=0 if found else 128, out=b"services: {}")


def _chosen(path: Path, *names: str) -> tuple[str, list[str]]:
    ctx: Any = _Ctx(path, *names)
    [found] = compose_files(ctx, ())
    return found.name, ctx.said


@pytest.mark.parametrize(
    ("names", "chosen", "said"),
    [
        (("compose.yml",), "compose.yml", ""),
        (("docker-compose.yaml",), "docker-compose.yaml", ""),
        (("compose.yaml", "compose.yml"), "compose.yaml", " (not compose.yml)"),
        (("compose.yaml", "compose.override.yaml"), "compose.yaml", " (not compose.override.yaml)"),
        (
            ("docker-compose.yml", "docker-compose.production.yml"),
            "docker-compose.production.yml",
            " (not docker-compose.yml)",
        ),
    ],
)
def test_chosen_file_is_named_with_those_that_were_not(
    tmp_path: Path, names: tuple[str, ...], chosen: str, said: str
) -> None:
    """All four of Compose's own names are known. (faults H10)"""
    assert _chosen(tmp_path, *names) == (chosen, [f"compose file: {chosen}{said}"])


@pytest.mark.parametrize(
    "other", ["docker-compose.prod.yml", "compose.prod.yaml", "docker-compose-prod.yml"]
)
def test_file_for_production_beside_a_usual_one_is_asked_for(tmp_path: Path, other: str) -> None:
    """The usual one is mostly for development. (faults H10)"""
    with pytest.raises(SettingsError) as raised:
        _chosen(tmp_path, "docker-compose.yml", other)
    text = str(raised.value.problems[0])
    assert f"there are both docker-compose.yml and {other}" in text
    assert f'Set it: to "{other}", or to "docker-compose.yml {other}"' in text


def test_committed_file_that_the_job_has_edited_is_told(tmp_path: Path) -> None:
    """`sed -i s/__PASSWORD__/…/ compose.yml`: the committed one has the placeholder."""
    (tmp_path / "compose.yml").write_text("services: {}")
    assert len(_chosen(tmp_path, "compose.yml")[1]) == 1
    (tmp_path / "compose.yml").write_text("services: {a: {}}")
    assert "compose.yml was changed in the checkout" in _chosen(tmp_path, "compose.yml")[1][0]
    ctx: Any = _Ctx(tmp_path, "compose.yml")
    ctx.facts.build = ""
    compose_files(ctx, ("compose.yml",))
    assert not ctx.said, "by hand, what is committed is meant"
    ctx.facts.build, ctx.repository.head = "7", "2" * 40
    compose_files(ctx, ("compose.yml",))
    assert not ctx.said, "another commit is checked out"
