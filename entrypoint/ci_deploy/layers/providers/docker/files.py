"""The compose files of the revision that is deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.env_file import env_file
from ci_deploy.layers.providers.docker.settings import DEFAULT_FILES, FOR_PRODUCTION
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import NOTHING

COMPOSE = re.compile(r"(docker-)?compose([.-].*)?\.ya?ml")


class ComposeFile(NamedTuple):
    """One compose file: its path, relative to APP_DIR, and its bytes."""

    name: str
    content: bytes


def compose_files(ctx: Context, wanted: Sequence[str]) -> list[ComposeFile]:
    """The files in `wanted` (COMPOSE_FILE), or the first of DEFAULT_FILES that exists, which is
    logged. Read from git at the revision, else from the checkout, for a file that the job has made.
    Raises SettingsError when one is missing, or when another one may be meant for production."""
    if wanted:
        return [_file(ctx, name) for name in wanted]
    for name in DEFAULT_FILES:
        if found := _look(ctx, name):
            _beside(ctx, name)
            return [found]
    where = f"in {ctx.settings.app_dir}" if ctx.settings.app_dir else "at the top of the repository"
    reason = f"not set, and there is none of {', '.join(DEFAULT_FILES)} {where}."
    remedy = "Set it to the path of the compose file."
    raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy))


def as_parts(
    files: Sequence[ComposeFile],
    app: Mapping[str, str],
    tag: Mapping[str, str],
    reads: Mapping[str, bytes] = NOTHING,
) -> dict[str, bytes]:
    """What a host needs to read the compose files: path → bytes. These are the files, the app's
    configuration, the variables of the release and the files that Compose reads with them. `list`
    names the last file first, since the host prepends each."""
    names = "".join(f"{each.name}\n" for each in reversed(files))
    more = {"reads": "".join(f"{name}\n" for name in reads).encode()} if reads else {}
    return {
        "list": names.encode(),
        **{f"files/{each.name}": each.content for each in files},
        **more,
        **{f"read/{name}": content for name, content in reads.items()},
        "app.env": env_file(app).encode(),
        "tag.env": env_file(tag).encode(),
    }


def digest(parts: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over the files of a release, as `sum_of` on the host computes it; `-` for
    none."""
    if not parts:
        return "-"
    names = [f"files/{name}" for name in parts["list"].decode().splitlines()]
    names += [f"read/{name}" for name in parts.get("reads", b"").decode().splitlines()]
    sums = [f"{n}\n{sha256(parts[n]).hexdigest()}  -\n" for n in (*names, "app.env", "tag.env")]
    return sha256("".join(sums).encode()).hexdigest()


def _beside(ctx: Context, name: str) -> None:
    """Log which file was chosen. Raises SettingsError when another one may be meant."""
    folder = ctx.settings.app_dir
    listed = ctx.repository.git(
        "ls-tree", "-z", "--name-only", f"{ctx.revision}:{folder}", ok=None
    ).out.decode(errors="replace")
    others = [e for e in listed.split("\0") if COMPOSE.fullmatch(e) and e != name]
    if name not in FOR_PRODUCTION and (meant := [e for e in others if "prod" in e]):
        reason = f"not set, and there are both {name} and {', '.join(meant)}."
        remedy = (
            f'Set it: to "{meant[0]}", or to "{name} {meant[0]}" if that only extends the other.'
        )
        raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy))
    beside = f" (not {', '.join(others)})" if others else ""
    ctx.console.indent(f"compose file: {_path(ctx, name)}{beside}")


def _file(ctx: Context, name: str) -> ComposeFile:
    found = _look(ctx, name)
    if found is None:
        reason = f"there is no file {_path(ctx, name)} at {ctx.revision[:7]} or in the checkout."
        remedy = "Correct the path, commit the file, or let the job create it."
        raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy))
    return found


def _look(ctx: Context, name: str) -> ComposeFile | None:
    path = _path(ctx, name)
    shown = ctx.repository.git("cat-file", "blob", f"{ctx.revision}:{path}", ok=None)
    if shown.exit_code == 0:
        warn_if_changed(ctx, path, shown.out)
        return ComposeFile(name, shown.out)
    made = ctx.workspace / path
    if not made.is_file():
        return None
    lacks = f"{ctx.revision[:7]} has no {path}"
    ctx.console.indent(f"{lacks}: the one in the checkout is used.")
    return ComposeFile(name, made.read_bytes())


def warn_if_changed(ctx: Context, path: str, content: bytes) -> None:
    """Warn if the file at `path`, committed with `content`, was changed in the checkout (`sed -i`);
    only in CI, and if the deployed revision is checked out."""
    if not ctx.facts.build or ctx.repository.head != ctx.revision:
        return
    made = ctx.workspace / path
    if made.is_file() and made.read_bytes() != content:
        ctx.console.warning(
            f"{path} was changed in the checkout, but the committed version is used. Let the job "
            "write the changed file under a name that is not committed, and refer to that name."
        )


def _path(ctx: Context, name: str) -> str:
    folder = ctx.settings.app_dir
    return f"{folder}/{name}" if folder else name
