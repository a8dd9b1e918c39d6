"""The files of the deployed revision, as the compose files refer to them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ci_deploy.errors import Problem, SettingsError, expect
from ci_deploy.git.archive import POINTER
from ci_deploy.git.blobs import answers, question
from ci_deploy.git.committed import EXECUTABLE, LINK, SUBMODULE, Entry, Listing, whole
from ci_deploy.layers.providers.docker.files import ComposeFile, as_parts, warn_if_changed
from ci_deploy.layers.providers.docker.mentioned import mentioned
from ci_deploy.layers.providers.docker.release import Program
from ci_deploy.run.context import Context

BIG = 50_000_000  # bytes; a larger file of the checkout is not taken for one that the job has made
EMPTY = {  # the IDs of an empty file
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}


class Tree:
    """The repository's files as the compose files name them: relative to the directory of the first
    one, as in Compose, or else to the root (or APP_DIR). `texts`: the compose files; `reads`: name
    → content of other files that Compose reads; `parts`: what a host needs to read the compose
    files."""

    def __init__(
        self, ctx: Context, files: Sequence[ComposeFile], variables: Mapping[str, str]
    ) -> None:
        self.ctx = ctx
        self.texts = [each.content for each in files]
        self._listing = Listing(ctx.repository, ctx.revision, ctx.settings.app_dir)
        self._folder = posixpath.dirname(files[0].name)
        self._blobs: dict[str, bytes] = {}
        self._said: set[str] = set()
        self.reads = self._read_by_compose({**ctx.app_config, **variables})
        self.parts = as_parts(files, ctx.app_config, variables, self.reads)

    def under(self, folder: str) -> dict[str, Entry]:
        """The files in a directory: path in it → entry. Links that do not lead to a file of the
        repository are left out, and logged."""
        found = [
            (each.path.removeprefix(f"{start}/"), each)
            for start in reversed(self._paths(folder))
            for each in self._listing.under(start)
            if each.mode != SUBMODULE
        ]
        self._load(each for _, each in found if each.mode == LINK)
        return {name: each for name, each in found if self._is_file(each)}

    def submodules(self, name: str) -> list[str]:
        """The submodules at a path or below it, whose files the repository does not have."""
        found = [
            e for at in self._paths(name) for e in (self._listing.get(at), *self._listing.under(at))
        ]
        return [each.path for each in found if each and each.mode == SUBMODULE]

    def has(self, name: str) -> bool:
        """Whether a path in the compose files names a file, in the commit or made by the job."""
        return self.committed(name) or self.made(name) is not None

    def committed(self, name: str) -> bool:
        """Whether a path in the compose files names a file (or a link) of the commit."""
        return self._find(name) is not None

    def made(self, name: str) -> Path | None:
        """The file that the job has made in the checkout (from its secrets), if the commit has none
        of that name; else None. Always None outside of CI, where a checkout has unrelated files."""
        if not self.ctx.facts.build or self._find(name):
            return None
        if self._checked_out and any(map(self._checked_out.get, self._paths(name))):
            return None  # it belongs to the commit that is checked out, not to this one
        root = (self.ctx.workspace / self.ctx.settings.app_dir).resolve()
        for path in ((root / at).resolve() for at in self._paths(name)):
            inside = path.is_relative_to(root) and ".git" not in path.parts  # its credentials
            if inside and path.is_file() and path.stat().st_size <= BIG:
                return path
        return None

    @cached_property
    def _checked_out(self) -> Listing | None:
        """The files of the commit in the checkout; None when that is the one to deploy."""
        repository, head = self.ctx.repository, self.ctx.repository.head
        same = head in {"", self.ctx.revision}
        return None if same else Listing(repository, head, self.ctx.settings.app_dir)

    def _find(self, name: str) -> Entry | None:
        found = filter(None, map(self._listing.get, self._paths(name)))
        return next((each for each in found if each.mode != SUBMODULE), None)

    def _paths(self, name: str) -> list[str]:
        """What a name in the compose files may mean in the repository; empty for its top."""
        paths = (posixpath.normpath(posixpath.join(at, name)) for at in (self._folder, ""))
        known = [each for each in dict.fromkeys(paths) if each.split("/")[0] != ".."]
        return ["" if each == "." else each for each in known]

    def content(self, name: str) -> bytes:
        """The content of a file that `has` finds, also through a link; a Program if it is
        executable. Raises SettingsError for an LFS file that is not checked out."""
        if made := self.made(name):
            self._say(f"{name} is not committed: the one in the checkout is used.")
            data = made.read_bytes()
            return Program(data) if made.stat().st_mode & 0o100 else data
        entry = expect(self._find(name), name)
        entry = self._target(entry, name) or entry
        data = self._blob(entry)
        if pointer := POINTER.match(data[:200]):
            real = self.ctx.workspace / self.ctx.settings.app_dir / entry.path
            data = real.read_bytes() if real.is_file() else b""
            if hashlib.sha256(data).hexdigest() != pointer[1].decode():
                reason = f"the LFS file {name} is not in the checkout, or another version of it."
                remedy = "Let CI fetch LFS files (GitHub: `lfs: true`)."
                raise SettingsError(Problem("the workspace", reason, "", remedy))
        if entry.path not in self._said:
            self._said.add(entry.path)
            warn_if_changed(self.ctx, posixpath.join(self.ctx.settings.app_dir, entry.path), data)
        return Program(data) if entry.mode == EXECUTABLE else data

    def _is_file(self, entry: Entry) -> bool:
        if self._target(entry, entry.path):
            return True
        self._say(f"the link {entry.path} leads to no file of the repository, so it is not copied.")
        return False

    def _target(self, entry: Entry, at: str) -> Entry | None:
        """The file itself, or the one to which a link at a path leads; None for none."""
        for _ in range(5):
            if entry.mode != LINK:
                return entry
            to = self._blob(entry).decode(errors="surrogateescape")
            at = posixpath.normpath(posixpath.join(posixpath.dirname(at), to))
            if not (found := self._find(at)):
                return None
            entry = found
        return None

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.ctx.console.indent(text)

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of several files (name → content), read by one call of git. Raises
        SettingsError like `content`, and when they are too large together."""
        wanted = list(names)
        self._load(filter(None, map(self._find, wanted)))
        return {name: self.content(name) for name in wanted}

    def _load(self, entries: Iterable[Entry]) -> None:
        """Read what `_blob` has not read yet."""
        new = {each.blob: each.path for each in entries if each.blob not in self._blobs}
        if not new:
            return
        try:
            printed = whole(self.ctx.repository, "cat-file", "--batch", stdin=question([*new]))
        except SettingsError:
            name = next(iter(new.values()))
            reason = f"the {len(new)} mounted files, {name} among them, are too large together."
            remedy = "Put them into an image."
            raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy)) from None
        self._blobs |= zip(new, answers(printed, [*new]), strict=True)

    def _blob(self, entry: Entry) -> bytes:
        repository, words = self.ctx.repository, ("cat-file", "blob", entry.blob)
        data = self._blobs.get(entry.blob) or whole(repository, *words)
        if not data and entry.blob not in EMPTY:  # git failed: a partial clone lacks the file
            repository.complete(self.ctx.revision)
            data = whole(repository, *words)
        self._blobs[entry.blob] = data
        return data

    # --- what Compose reads ---

    def _read_by_compose(self, variables: Mapping[str, str]) -> dict[str, bytes]:
        """The files that the compose files name, and those that these name. A `.env` beside them
        belongs to the host and is never sent."""
        found: dict[str, bytes] = {}
        waiting = [(text, "") for text in self.texts]
        while waiting:
            text, folder = waiting.pop()
            words = list(mentioned(text.decode(errors="replace"), variables))
            # To what a path in an included file is relative depends on the version of Compose.
            names = [
                posixpath.normpath(posixpath.join(at, w)) for at in (folder, "") for w in words
            ]
            for name in names:
                outside = name.split("/")[0] == ".."  # it would be put outside of DEPLOY_PATH
                if name in found or name == ".env" or outside or not self.has(name):
                    continue
                found[name] = self.content(name)
                if name.endswith((".yml", ".yaml", ".json")):
                    waiting.append((found[name], posixpath.dirname(name)))
        return found
