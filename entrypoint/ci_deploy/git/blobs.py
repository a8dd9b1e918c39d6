"""Several files of a commit, read by one `git cat-file --batch` (git's documentation of it)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def question(names: Sequence[str]) -> bytes:
    """What its stdin has to be, to be asked for objects (commit:path)."""
    return "".join(f"{_on_one_line(name)}\n" for name in names).encode(errors="surrogateescape")


def answers(printed: bytes, names: Sequence[str]) -> Iterator[str]:
    """The texts of the objects, in the order of the names; empty for what is no file.

    For each of them git prints `ID KIND SIZE`, a newline, the content and a newline; or the name,
    and that it is missing.
    """
    for name in names:
        line, _, rest = printed.partition(b"\n")
        missing = line.startswith(_on_one_line(name).encode(errors="surrogateescape"))
        if missing or not line:
            printed = rest
            yield ""
            continue
        _, kind, size = line.split()
        content, printed = rest[: int(size)], rest[int(size) + 1 :]
        yield content.decode(errors="replace").rstrip("\n") if kind == b"blob" else ""


def _on_one_line(name: str) -> str:
    """A name with a newline in it cannot be asked for in this way: it is not there."""
    return name.replace("\n", "?")
