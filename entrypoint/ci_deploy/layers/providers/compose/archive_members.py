"""Finds the members of a tar and reads them in place; nothing is unpacked.

Members are returned as byte ranges. Links are followed within the archive only; names that lead
outside are refused, and modes are ignored.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import posixpath
import tarfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from ci_deploy import files
from ci_deploy.settings.lines import from_json

MEMBERS = 50_000
HEADER = 1024 * 1024  # bytes of a long name or of pax headers, which are read into memory
JSON_LIMIT = 4 * 1024 * 1024  # bytes; registries do not accept larger manifests either
CHUNK = 1024 * 1024  # bytes
PLAIN = {tarfile.REGTYPE, tarfile.AREGTYPE}
LINKS = {tarfile.SYMTYPE, tarfile.LNKTYPE}
LONG = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip


class BadArchive(Exception):
    """Raised for an archive that cannot be used. The message is a sentence about it without its
    name (`it lacks …`); characters in it that cannot be printed become `?`."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(each if each.isprintable() else "?" for each in message))


class Span(NamedTuple):
    """A range of bytes in an archive, after decompression."""

    path: Path
    offset: int
    size: int


class _Header(tarfile.TarInfo):
    """A header of a tar; raises BadArchive for one whose content is too large to keep in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        found = super().frombuf(buf, encoding, errors)
        if found.size < 0 or (found.type in LONG and found.size > HEADER):
            message = "it has a header that is damaged or larger than 1 MB."
            raise BadArchive(message)
        return found


def open_archive(path: Path) -> BinaryIO:
    """Open an archive for random access, decompressed (gzip, bzip2 or xz, by its first bytes).
    Raises OSError, BadArchive for zstd."""
    start = files.first_line(path, 6)
    if start[:4] == b"\x28\xb5\x2f\xfd":
        message = "it is compressed with zstd, which is not supported: use gzip, or none."
        raise BadArchive(message)
    if start[:2] == b"\x1f\x8b":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if start[:3] == b"BZh":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if start[:6] == b"\xfd7zXZ\0":
        return cast(BinaryIO, lzma.open(path, "rb"))
    return path.open("rb")


class Members:
    """The members of an open archive: finds and reads them by name."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Raises BadArchive for names that lead outside, TarError when it is cut off."""
        self._path = path
        self._file = file
        self._known: dict[str, tarfile.TarInfo] = {}
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
            for member in tar:
                if member.name.startswith("/") or ".." in member.name.split("/"):
                    message = f"its member `{member.name[:80]}` is a path outside the archive."
                    raise BadArchive(message)
                if len(self._known) >= MEMBERS:
                    message = f"it has more than {MEMBERS} members."
                    raise BadArchive(message)
                self._known[posixpath.normpath(member.name)] = member

    def find(self, name: str) -> Span | None:
        """The byte range of a regular file in the archive; None if there is no such member. Old
        versions of Docker save a layer that two images share as a link, so one link is followed.
        Raises BadArchive for any other kind of member."""
        at = posixpath.normpath(name)
        for _ in range(2):
            member = self._known.get(at)
            if member is None:
                return None
            if member.type in PLAIN and not member.sparse:
                return Span(self._path, member.offset_data, member.size)
            if member.type not in LINKS:
                break
            folder = posixpath.dirname(at) if member.issym() else ""
            at = posixpath.normpath(posixpath.join(folder, member.linkname))
            if at.startswith(("/", "..")):
                break
        message = f"its member `{name[:80]}` is neither a file nor a link to one in the archive."
        raise BadArchive(message)

    def content(self, name: str) -> bytes:
        """The content of a file. Raises BadArchive when it is missing, larger than JSON_LIMIT, or
        not a regular file."""
        span = self.find(name)
        if span is None:
            message = f"it lacks `{name[:80]}`."
            raise BadArchive(message)
        if span.size > JSON_LIMIT:
            message = f"its member `{name[:80]}` is larger than {JSON_LIMIT // 1024 // 1024} MB."
            raise BadArchive(message)
        self._file.seek(span.offset)
        return self._file.read(span.size)

    def json(self, name: str) -> Any:
        """The parsed content of a JSON file. Raises BadArchive like `content`, and ValueError."""
        return from_json(self.content(name))

    def start(self, span: Span) -> bytes:
        """The first four bytes of a file."""
        self._file.seek(span.offset)
        return self._file.read(4)

    def digest(self, span: Span) -> str:
        """The digest of a file's content: `sha256:` and 64 hex digits."""
        self._file.seek(span.offset)
        digest, left = hashlib.sha256(), span.size
        while left and (data := self._file.read(min(CHUNK, left))):
            digest.update(data)
            left -= len(data)
        return f"sha256:{digest.hexdigest()}"
