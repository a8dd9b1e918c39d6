"""An archive as Dokku has to get it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ci_deploy.layers.providers.dokku import ignored
from ci_deploy.run.context import Context


def _archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:") as archive:
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(member, io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("names", "added"),
    [
        (["src/", "src/a", "src/b/", "src/b/c"], [".gitignore"]),
        (["src/a"], [".gitignore"]),
        (["src/", "src/a", "Procfile"], []),
        (["src/a", "lib/b"], []),
        (["Procfile"], []),
    ],
)
def test_directory_that_is_alone_is_not_taken_for_a_wrapper(
    tmp_path: Path, names: list[str], added: list[str]
) -> None:
    """Dokku would leave it out, which it does not do to a push (faults A9)."""
    path = _archive(tmp_path / "a.tar", *names)
    ignored.keep(cast("Context", SimpleNamespace()), path)
    with tarfile.open(path) as archive:
        assert archive.getnames() == [name.rstrip("/") for name in names] + added
