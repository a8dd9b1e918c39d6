"""Input and output of `git cat-file --batch`, which reads several files of a commit in one call
(format: git-cat-file(1), "Batch output")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def question(names: Sequence[str]) -> bytes:
    """The stdin of `git cat-file --batch` that requests the objects `names`, each `COMMIT:PATH`."""
    return "".join(f"{_on_one_line(name)}\n" for name in names).encode(errors="surrogateescape")


def answers(printed: bytes, names: Sequence[str]) -> Iterator[bytes]:
    """Yield the contents of the objects, in the order of `names`, from what git has `printed`;
    empty for what is missing or not a file.

    For each object git prints `ID KIND SIZE`, a newline, the content and a newline; or the name,
    and that it is missing.
    """
    for _ in names:
        line, _, rest = printed.partition(b"\n")
        if not line or not line[-1:].isdigit():
            printed = rest
            yield b""
            continue
        _, kind, size = line.split()
        content, printed = rest[: int(size)], rest[int(size) + 1 :]
        yield content if kind == b"blob" else b""


def texts(printed: bytes, names: Sequence[str]) -> Iterator[str]:
    """Like `answers`, but decoded as UTF-8, without newlines at the end."""
    return (data.decode(errors="replace").rstrip("\n") for data in answers(printed, names))


def _on_one_line(name: str) -> str:
    """Replace newlines: a name with one cannot be asked for, so it counts as missing."""
    return name.replace("\n", "?")
