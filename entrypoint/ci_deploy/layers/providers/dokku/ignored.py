"""Prepares an archive so that Dokku builds the same from it as from a push.

Measured: `git:from-archive` adds the files to a repository with `git add --all`, which leaves out
what `.gitignore` matches. For git a tracked file is never ignored, so a push contains them all. An
archive that contains only one directory is unpacked without that directory.
"""

from __future__ import annotations

import io
import posixpath
from pathlib import Path

from ci_deploy.git.archive import adding, members
from ci_deploy.run.context import Context

NAME = ".gitignore"
NOTHING = b"\n# by ci-deploy, for this archive only: all of its files are tracked\n!*\n"


def keep(ctx: Context, path: Path) -> None:
    """Change the tar archive at `path` so that Dokku takes all of its files: a `.gitignore` that
    would leave one out gets `!*` as its last line, which is logged. If all is in one directory, an
    empty `.gitignore` is added beside it, since Dokku would unpack the archive without that
    directory."""
    import tarfile  # takes long to load, and most runs need none

    tops, names = set[str](), set[str]()
    rules: dict[str, bytes] = {}
    heads: dict[str, tarfile.TarInfo] = {}  # of the files with rules
    with tarfile.open(path) as archive:
        for each in members(archive):
            tops.add(each.name.partition("/")[0])
            if each.isdir():
                continue
            names.add(each.name)
            rules.pop(each.name, None)  # later members win
            if posixpath.basename(each.name) != NAME or not each.isfile():
                continue
            if file := archive.extractfile(each):
                rules[each.name], heads[each.name] = file.read(), each
    changed, dropped = set[str](), 0
    while found := _matches(ctx, path.with_suffix(".ignore"), rules, sorted(names)):
        sources = {source for source, _ in found if source in rules} - changed
        dropped = dropped or len(found)
        if not sources:
            break  # another file's rules
        for source in sources:
            rules[source] += NOTHING
        changed |= sources
    if len(tops) == 1 and not tops & names:
        with adding(path) as archive:
            archive.addfile(tarfile.TarInfo(NAME))
    if not changed:
        return
    with adding(path) as archive:
        for name in sorted(changed):
            member = heads[name]
            member.size = len(rules[name])
            archive.addfile(member, io.BytesIO(rules[name]))
    files = "1 tracked file is" if dropped == 1 else f"{dropped} tracked files are"
    ctx.console.indent(
        f"{files} matched by {', '.join(sorted(changed))}, so Dokku would leave them out of what "
        "it builds: in the archive, `!*` is appended there."
    )


def _matches(
    ctx: Context, folder: Path, rules: dict[str, bytes], names: list[str]
) -> list[tuple[str, str]]:
    """Pairs (file with the rule, file that it matches)."""
    if not rules:
        return []
    for name, text in rules.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)
    asked = ctx.repository.git(
        f"--work-tree={folder}", "-C", str(folder),
        "check-ignore", "--no-index", "--verbose", "-z", "--stdin",
        ok=(0, 1), stdin="\0".join(names).encode(errors="surrogateescape"),
    )  # fmt: skip
    words = asked.out.decode(errors="surrogateescape").split("\0")
    found = zip(words[0::4], words[2::4], words[3::4], strict=False)
    return [(source, name) for source, rule, name in found if not rule.startswith("!")]
