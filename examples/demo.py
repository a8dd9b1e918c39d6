"""`make demo`: a real deploy over real git and ssh, to a stand-in Dokku on this machine.

Deploys examples/hello, deploys it again (nothing to do), and deploys a broken commit, which fails
while the old release keeps answering. Everything that it starts ends with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from standins.dokku.server import DokkuStandIn

ROOT = Path(__file__).parents[1]
DEPLOY = Path(sys.prefix, "bin", "deploy")


def main() -> int:
    """Run the demo. Returns 0; exits with an error when a step does not end as expected."""
    install_sshd()
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        app = Path(folder, "hello")
        shutil.copytree(ROOT / "examples/hello", app)
        git(app, "init", "--quiet", "--initial-branch=main")
        first = commit(app, "Say hello")
        with DokkuStandIn(Path(folder, "server")) as server:
            tell(
                f"1. A stand-in Dokku listens on {server.host}:{server.port}. Deploy the app to it."
            )
            expect(deploy(app, server, DOKKU_CREATE_APP="true"), 0)
            url = server.app("hello").url
            expect(answer(url), first)

            tell("2. Deploy the same revision again: there is nothing to do.")
            expect(deploy(app, server), 0)

            tell("3. Deploy a commit whose release task fails: the old one must keep answering.")
            (app / "release.py").write_text("raise SystemExit('the migration is broken')\n")
            commit(app, "Break the release task")
            expect(deploy(app, server), 20)
            expect(answer(url), first)
    print(f"\ndemo ok: hello answered at {url} with revision {first}; everything is stopped now")
    return 0


def install_sshd() -> None:
    """Install sshd, which the stand-in runs, if it is missing and we are root on Debian; else exit
    with the command to run."""
    if shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return
    line = ["apt-get", "install", "-y", "--no-install-recommends", "openssh-server"]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"The demo needs sshd. Run: sudo {' '.join(line)}")
    tell("Installing openssh-server …")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", "update"], env=environ, check=True)
    subprocess.run(line, env=environ, check=True, stdout=subprocess.DEVNULL)


def deploy(app: Path, server: DokkuStandIn, **settings: str) -> int:
    """Run `deploy` in the checkout `app` as a CI job would, with `settings` as variables. Returns
    its exit code."""
    environ = variables(server, **settings)
    return subprocess.run([DEPLOY], cwd=app, env=environ, check=False).returncode


def variables(server: DokkuStandIn, **settings: str) -> dict[str, str]:
    """The environment variables of a CI job that deploys to `server`; `settings` override them."""
    return {
        "PATH": os.environ["PATH"],
        "USER": os.environ.get("USER", ""),
        "APP_NAME": "hello",
        "DEPLOY_ENVIRONMENT": "demo",
        "DOKKU_HOST": f"{server.user}@{server.host}:{server.port}",
        "SSH_PRIVATE_KEY": server.private_key,
        "SSH_SERVER_HOSTKEYS": server.known_hosts,
        **settings,
    }


def answer(url: str) -> str:
    """The revision that the app running at `url` reports."""
    with urllib.request.urlopen(f"{url}/health", timeout=10) as response:
        return str(json.load(response)["revision"])


def commit(app: Path, message: str) -> str:
    """Commit everything in the repository `app`; returns the full SHA."""
    who = ("-c", "user.name=Demo", "-c", "user.email=demo@example.com")
    git(app, "add", "--all")
    git(app, *who, "commit", "--quiet", "--message", message)
    return git(app, "rev-parse", "HEAD")


def git(app: Path, *arguments: str) -> str:
    """Run git in the repository `app`; returns its stripped stdout."""
    argv = ["git", "-C", str(app), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def tell(text: str) -> None:
    """Print a line that explains the next step, in bold on a terminal."""
    bold, end = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{end}\n", flush=True)


def expect(found: object, wanted: object) -> None:
    """Exit with an error unless `found` is `wanted`: the demo is a test too."""
    if found != wanted:
        sys.exit(f"demo failed: expected {wanted}, got {found}")


if __name__ == "__main__":
    sys.exit(main())
