"""Draws docs/pictures/green.svg and log.svg: the logs of real jobs, as GitLab shows them.

`python -m tooling.log_picture` deploys examples/hello to the stand-in Dokku, then a commit that is
good and one whose release task fails, and draws these two. A test does the same and compares.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from examples import demo

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn

FOLDER = Path(__file__).parents[1] / "docs/pictures"
BREAK = """print("== 20261120090000 AddPriceToItems: migrating ==")
print("PG::NotNullViolation: column \\"price\\" of relation \\"items\\" contains null values")
raise SystemExit(1)
"""
PROCFILE = "web: python3 app.py\nrelease: bin/rails db:migrate\n"
RAILS = '#!/usr/bin/env python3\nprint("nothing to migrate")\n'
WHEN = {"GIT_AUTHOR_DATE": "2026-11-20T09:00:00Z", "GIT_COMMITTER_DATE": "2026-11-20T09:00:00Z"}
COLOURS = {"1": "#ffffff", "31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
DIM, INK, BACK = "#8b949e", "#d0d7de", "#0d1117"
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"
LEFT, LINE, WIDE = 22, 19, 7.83  # pixels; of one character


def logs() -> dict[Path, str]:
    """Run both deployments: path of the picture → the log, with colours. Sets variables of this
    process, so that commits are the same each time."""
    os.environ.update(WHEN)
    demo.install_sshd()
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        app = Path(folder, "hello")
        app.mkdir()
        (app / "app.py").write_text((demo.ROOT / "examples/hello/app.py").read_text())
        (app / "Procfile").write_text(PROCFILE)
        (app / "bin").mkdir()
        (app / "bin/rails").write_text(RAILS)
        (app / "bin/rails").chmod(0o755)
        (app / ".gitignore").write_text("deploy*\n")
        demo.git(app, "init", "--quiet", "--initial-branch=main")
        first = demo.commit(app, "Sell things")
        with DokkuStandIn(Path(folder, "server")) as server:
            client = Client(server, Path(folder, "home"))
            client.dokku("apps:create hello")
            client.dokku("git:set hello deploy-branch main")
            client.dokku("domains:set hello hello.example.com")
            _deploy(app, server, first)
            (app / "names.txt").write_text("Items have a name.\n")
            good = _deploy(app, server, demo.commit(app, "Items have a name"))
            (app / "bin/rails").write_text(RAILS.splitlines()[0] + "\n" + BREAK)
            bad = _deploy(app, server, demo.commit(app, "Items have a price"))
    return {FOLDER / "green.svg": good, FOLDER / "log.svg": bad}


def _deploy(app: Path, server: DokkuStandIn, revision: str) -> str:
    environ = demo.variables(
        server,
        GITLAB_CI="true",
        CI_COMMIT_SHA=revision,
        CI_COMMIT_REF_NAME="main",
        CI_COMMIT_BRANCH="main",
        GITLAB_USER_LOGIN="jane",
        DEPLOY_ENVIRONMENT="production",
        DOKKU_HOST=f"{server.user}@dokku.example.com:{server.port}",
        SSH_CONFIG=f"Host dokku.example.com\n  HostName {server.host}\n",
        SSH_SERVER_HOSTKEYS=" ".join(server.fingerprints.values()),
    )
    done = subprocess.run([demo.DEPLOY], cwd=app, env=environ, check=False, stdout=subprocess.PIPE)
    text = done.stdout.decode().replace(f":{server.port}", "")
    return re.sub(r"(example\.com)(:\d+)", lambda found: found[1] + " " * len(found[2]), text)


def svg(text: str) -> str:
    """The log `text` as an SVG picture, without GitLab's section marks."""
    lines = [
        _line(line)
        for line in re.sub(r"\x1b\[0Ksection_\w+:[^\r]*\r\x1b\[0K", "", text).splitlines()
    ]
    while lines and not lines[0][0]:
        del lines[0]
    width = int(max(length for _, length in lines) * WIDE) + 2 * LEFT
    height = len(lines) * LINE + 2 * LEFT - 4
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    base = f'<text x="{LEFT}" fill="{INK}" xml:space="preserve"'
    drawn = [
        f'{base} y="{LEFT + 12 + at * LINE}">{line}</text>'
        for at, (line, _) in enumerate(lines)
        if line
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="13">',
            f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _line(line: str) -> tuple[str, int]:
    """A line as coloured spans, and its length in characters."""
    spans, length = list[str](), 0
    for codes, text in re.findall(r"(?:\x1b\[([0-9;]*)m)?([^\x1b]*)", line):
        if not text:
            continue
        length += len(text)
        known = [COLOURS[code] for code in codes.split(";") if code in COLOURS]
        faint = DIM if text.lstrip().startswith("│ remote") or codes == "2" else ""
        colour = (known or [faint])[-1]
        bold = ' font-weight="700"' if "1" in codes.split(";") else ""
        style = f' fill="{colour}"' if colour else ""
        shown = html.escape(text, quote=False)
        spans.append(f"<tspan{style}{bold}>{shown}</tspan>" if style or bold else shown)
    return "".join(spans), length


def main() -> None:
    """Write the pictures, and print their paths."""
    for path, text in logs().items():
        path.write_text(svg(text), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
