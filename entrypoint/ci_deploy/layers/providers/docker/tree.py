"""The files of the deployed revision, as the compose files refer to them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.git.archive import POINTER
from ci_deploy.git.committed import EXECUTABLE, LINK, Entry, Listing, whole
from ci_deploy.layers.providers.docker.files import ComposeFile, as_parts
from ci_deploy.layers.providers.docker.mentioned import mentioned
from ci_deploy.layers.providers.docker.release import Program
from ci_deploy.run.context import Context


class Tree:
    """The repository as seen from the directory of the first compose file, as Compose sees it, and
    from the root, for a COMPOSE_FILE in a sub-directory that refers to files there. `texts`: the
    compose files; `reads`: name → content of other files that Compose reads; `parts`: what a host
    needs to read the compose files."""

    def __init__(
        self, ctx: Context, files: Sequence[ComposeFile], variables: Mapping[str, str]
    ) -> None:
        self.ctx = ctx
        self.texts = [each.content for each in files]
        self._listing = Listing(ctx.repository, ctx.revision, ctx.settings.app_dir)
        self._folder = posixpath.dirname(files[0].name)
        self.reads = self._read_by_compose({**ctx.app_config, **variables})
        self.parts = as_parts(files, ctx.app_config, variables, self.reads)

    def under(self, folder: str) -> dict[str, Entry]:
        """The files in a directory, by their path in it."""
        inner = posixpath.join(self._folder, folder)
        return {
            each.path.removeprefix(f"{start}/"): each
            for start in dict.fromkeys((folder, inner))
            for each in self._listing.under(start)
        }

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._find(name) is not None

    def _find(self, name: str) -> Entry | None:
        inner = posixpath.join(self._folder, name)
        return self._listing.get(inner) or self._listing.get(name)

    def content(self, name: str) -> bytes:
        """The content of a file, also through a link. Raises SettingsError for an LFS file that is
        not checked out."""
        entry, at = self._find(name), name
        assert entry, f"{name} is there"  # noqa: S101
        for _ in range(5):
            if entry.mode != LINK:
                break
            at = posixpath.normpath(
                posixpath.join(posixpath.dirname(at), self._blob(entry).decode())
            )
            entry = self._find(at) or entry
        data = self._blob(entry)
        if pointer := POINTER.match(data[:200]):
            real = self.ctx.workspace / self.ctx.settings.app_dir / entry.path
            data = real.read_bytes() if real.is_file() else b""
            if hashlib.sha256(data).hexdigest() != pointer[1].decode():
                reason = f"the LFS file {name} is not in the checkout, only its pointer is."
                remedy = "Let CI fetch LFS files (GitHub: `lfs: true`)."
                raise SettingsError(Problem("the workspace", reason, "", remedy))
        return Program(data) if entry.mode == EXECUTABLE else data

    def _blob(self, entry: Entry) -> bytes:
        return whole(self.ctx.repository, "cat-file", "blob", entry.blob)

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
                if name in found or name == ".env" or not self.has(name):
                    continue
                found[name] = self.content(name)
                if name.endswith((".yml", ".yaml", ".json")):
                    waiting.append((found[name], posixpath.dirname(name)))
        return found
