"""A fork of this project with its own names, two bare repositories in place of GitHub and GitLab,
and the jobs of its release workflow, run step by step as a runner would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from release.project import Project, load
from standins.support import ROOT

GITHUB, GITLAB = (
    "https://github.example/acme/deployer",
    "https://gitlab.example/acme/tools/deployer",
)
VERSION = "7.1.0"
# A release of another day; a line with `#`, which git would take for a comment; a quote for shells.
NOTES = """
### Added

- Something `$(new)` that "people" want.
"""
TOKENS = {"GITHUB_TOKEN": "token-of-github", "GITLAB_TOKEN": "token-of-gitlab"}
# What GitHub and GitLab do: look at who pushes, and refuse to change a version.
HOOK = """#!/bin/sh
if [ -n "$STANDIN_JOB" ]; then
    [ "$PUSH_USER:$PUSH_TOKEN" = "{who}" ] || { echo "wrong user or token" >&2; exit 1; }
    case $STANDIN_JOB in *'"contents": "write"'*) ;; *) echo "not allowed" >&2; exit 1 ;; esac
fi
while read -r old new name; do
    case $old:$name in *[1-9a-f]*:refs/tags/*.*) echo "immutable: $name" >&2; exit 1 ;; esac
done
"""


@dataclass
class Fork:
    """Everything is below one folder, which can be copied."""

    folder: Path
    registries: tuple[str, str] = ("localhost:1", "localhost:2")
    facts: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Fork:
        """From the files of this tree, whether committed or not."""
        self.state.mkdir(parents=True)
        for name in ("github", "gitlab"):
            self._git(
                self.folder, "init", "--quiet", "--bare", "--initial-branch=main", f"{name}.git"
            )
        source = self.folder / "source"
        listed = [
            "git",
            "-C",
            str(ROOT),
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ]
        names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
        for name in names.strip("\0").split("\0"):
            if (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
        settings = source / "pyproject.toml"
        first, second = self.registries
        text = settings.read_text()
        for key, value in {
            "repository": GITHUB,
            "images": f"{first}/acme/deployer",
            "gitlab": GITLAB,
            "gitlab-images": f"{second}/acme/tools/deployer",
        }.items():
            text = re.sub(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.M)
        settings.write_text(text)
        changelog = source / "CHANGELOG.md"
        head, heading, rest = changelog.read_text().partition("## [Unreleased]\n")
        changelog.write_text(f"{head}{heading}{NOTES}\n## [0.0.1] - 2026-01-01\n{rest}")
        self._git(source, "init", "--quiet", "--initial-branch=main")
        self.enter(source)
        self.python(source, "-m", "tooling.manifest")
        self.commit(source, "A fork under its own names")
        done = self.release(source, "prepare", VERSION)
        assert done.returncode == 0, done.stderr
        self.commit(source, f"Release {VERSION}")
        self.hooks()
        return self

    def hooks(self) -> None:
        """Protect the repositories."""
        users = {
            "github": ("x-access-token", "GITHUB_TOKEN"),
            "gitlab": ("release", "GITLAB_TOKEN"),
        }
        for name, (user, token) in users.items():
            hook = self.folder / f"{name}.git/hooks/pre-receive"
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(HOOK.replace("{who}", f"{user}:{TOKENS[token]}"))
            hook.chmod(0o755)

    def copy(self, folder: Path) -> Fork:
        """For a test of its own."""
        shutil.copytree(self.folder, folder, symlinks=True)
        made = Fork(folder, self.registries)
        made.enter(folder / "source")
        return made

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @cached_property
    def environ(self) -> dict[str, str]:
        """Two addresses that lead into this folder, and programs that are stand-ins."""
        config = self.folder / "gitconfig"
        places = {"github": GITHUB, "gitlab": GITLAB}
        lines = [
            f'[url "file://{self.folder}/{n}.git"]\n\tinsteadOf = {url}\n'
            for n, url in places.items()
        ]
        who = "[user]\n\tname = Jane\n\temail = jane@example.com\n"
        who += "[maintenance]\n\tauto = false\n[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n"
        config.write_text("".join([*lines, who, '[protocol "file"]\n\tallow = always\n']))
        for name in ("docker", "cosign", "gh"):
            program = self.folder / ("installed" if name == "cosign" else "bin") / name
            program.parent.mkdir(exist_ok=True)
            standin = f"exec {sys.executable} -I {ROOT / 'tests/release/programs.py'} {name}"
            program.write_text(f'#!/bin/sh\n{standin} "$@"\n')
            program.chmod(0o755)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("GIT", "CI"))
        }
        return {
            **kept,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "GIT_CONFIG_GLOBAL": str(config),
            "STANDIN_STATE": str(self.state),
            "DOCKER_CONFIG": str(ROOT / ".tools/docker"),
        }

    @property
    def _real(self) -> dict[str, str]:
        return {**self.environ, "PATH": os.environ["PATH"]}

    def enter(self, checkout: Path) -> None:
        """Give a checkout what `make venv` would, and the stand-ins what is true."""
        python = checkout / ".venv/bin/python"
        python.parent.mkdir(parents=True, exist_ok=True)
        path = f"PYTHONPATH={checkout / 'entrypoint'}"
        python.write_text(f'#!/bin/sh\n{path} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (checkout / ".venv/.runtime").touch()
        project = self.project(checkout)
        logins = {
            self.registries[0]: ["octocat", TOKENS["GITHUB_TOKEN"]],
            self.registries[1]: ["release", TOKENS["GITLAB_TOKEN"]],
        }
        pipeline = (checkout / ".gitlab-ci.yml").read_text()
        images = {*project.pins.values(), *re.findall(r"image: (\S+@\S+)", pipeline)}
        self.facts |= {
            "repository": GITHUB,
            "logins": logins,
            "pins": dict(project.pins),
            "known": {image: image.partition("@")[2] for image in images},
            "version": VERSION,
            "docker": shutil.which("docker"),
            "github_token": TOKENS["GITHUB_TOKEN"],
            "attested": self.facts.get("attested", ["sbom", "provenance"]),
        }
        self.say()

    def say(self) -> None:
        """Tell the stand-ins what is true."""
        (self.state / "facts.json").write_text(json.dumps(self.facts))

    def project(self, checkout: Path) -> Project:
        return load(checkout)

    def python(self, checkout: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [checkout / ".venv/bin/python", *argv],
            cwd=checkout,
            env={**self.environ, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def release(self, checkout: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`python -m release …`"""
        return self.python(checkout, "-m", "release", *argv, **env)

    def commit(self, checkout: Path, message: str) -> None:
        """Commit everything on the default branch, and push it to GitHub as a person would."""
        self._git(checkout, "add", "--all")
        self._git(checkout, "commit", "--quiet", "--message", message)
        self._git(checkout, "push", "--quiet", GITHUB, "HEAD:refs/heads/main")

    def git(self, where: str, *argv: str) -> str:
        """A git command in a repository of this folder."""
        return self._git(self.folder / where, *argv)

    def _git(self, where: Path, *argv: str) -> str:
        done = subprocess.run(
            ["git", *argv], cwd=where, env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def docker(self, *argv: str) -> None:
        """The real one, with buildx."""
        subprocess.run(["docker", *argv], check=True, capture_output=True, env=self._real)

    def calls(self) -> list[dict[str, Any]]:
        """What the stand-ins were asked to do."""
        path = self.state / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # --- the workflow ---

    def workflow(self) -> dict[str, Any]:
        text = (self.folder / "source/.github/workflows/release.yml").read_text()
        found: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
        return found

    def job(self, name: str) -> None:
        """Run a job, once for each entry of its matrix."""
        job = self.workflow()["jobs"][name]
        for entry in job.get("strategy", {}).get("matrix", {}).get("include", [{}]):
            number = len(list(self.folder.glob(f"{name}-*")))
            self._job(job, f"{name}-{number}", entry)

    def _job(self, job: Mapping[str, Any], name: str, matrix: Mapping[str, str]) -> None:
        workspace, temp = self.folder / name, self.folder / f"temp-{name}"
        temp.mkdir()
        path = self.environ["PATH"]
        values = {f"matrix.{key}": value for key, value in matrix.items()}
        values |= {f"secrets.{key}": value for key, value in TOKENS.items()}
        values["runner.temp"] = str(temp)
        context = {"name": name, "permissions": dict(job["permissions"])}
        for step in job["steps"]:
            given = {
                key: _evaluated(str(value), values) for key, value in step.get("with", {}).items()
            }
            match step.get("uses", "").partition("@")[0]:
                case "actions/checkout":
                    assert given.pop("persist-credentials") == "False"
                    depth = [] if given.pop("fetch-depth", "1") == "0" else ["--depth=1"]
                    self._git(self.folder, "clone", "--quiet", *depth, GITHUB, name)
                    self.enter(workspace)
                case "sigstore/cosign-installer":
                    path = f"{self.folder / 'installed'}:{path}"
                case "actions/upload-artifact":
                    there = self.folder / "artifacts" / given["name"]
                    there.mkdir(parents=True, exist_ok=True)
                    shutil.copy(given["path"], there)
                case "actions/download-artifact" if "name" in given:
                    shutil.copytree(
                        self.folder / "artifacts" / given["name"], given["path"], dirs_exist_ok=True
                    )
                case "actions/download-artifact":
                    for there in (self.folder / "artifacts").glob(given["pattern"]):
                        shutil.copytree(there, Path(given["path"]) / there.name)
                case "":
                    env = {
                        key: _evaluated(each, values) for key, each in step.get("env", {}).items()
                    }
                    done = subprocess.run(
                        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                        cwd=workspace,
                        env={
                            **self.environ,
                            "PATH": path,
                            "RUNNER_TEMP": str(temp),
                            "GITHUB_ACTOR": "octocat",
                            "STANDIN_JOB": json.dumps(context),
                            **env,
                        },
                        capture_output=True,
                        text=True,
                        check=False,
                        timeout=300,
                    )
                    if done.returncode:
                        raise StepFailed(done.stdout + done.stderr)
                case unknown:
                    raise AssertionError(unknown)


class StepFailed(Exception):
    """A step of a job has failed; its log."""


def _evaluated(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], text)


def tags(fork: Fork, name: str) -> Iterator[str]:
    """The tags of one of the repositories."""
    yield from fork.git(f"{name}.git", "tag", "--list").split()
