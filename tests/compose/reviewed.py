"""The review app of a branch, and what a host really has of it."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from typing import Any

import pytest

from ci_deploy.run.review_app import app_name
from standins.compose.app import App
from standins.support import Done, Run, run

LABEL = "label=com.docker.compose.project"
BRANCH = "feature/login"
# Its own volume, network and directory, in which a container may write as root.
STACK = """
services:
  app:
    image: {image}:${{DEPLOY_TAG}}
    stop_grace_period: 3s
    healthcheck: {{test: ["CMD", "test", "-f", "/ok"], interval: 600ms, retries: 3}}
    env_file: .env
    environment: {{SEEN_URL: "${{REVIEW_URL:-}}", SEEN_HOST: "${{REVIEW_HOST:-none}}"}}
    volumes: ["log:/log", "./data:/data"]
    networks: [default, proxy]
volumes: {{log: }}
networks: {{proxy: {{external: true, name: {proxy}}}}}
"""
SETTINGS = {"REVIEW_DOMAIN": "review.example.com", "REVIEW_CONFIG": "STAGE=review\nPIN='$0123'\n"}


class Reviewed:
    """The review app of one branch of an app."""

    def __init__(self, app: App, branch: str = BRANCH) -> None:
        self.app, self.branch = app, branch
        self.name = app_name(app.name, branch, 63)

    @property
    def folder(self) -> str:
        """Its directory on a host."""
        return f"{self.app.folder}/.ci-deploy/reviews/{self.name}"

    @property
    def state(self) -> str:
        """And ours in it."""
        return f"{self.folder}/.ci-deploy/apps/{self.name}"

    def settings(self, tag: str = "good1", **more: str) -> dict[str, str]:
        """Of a job of the branch."""
        job = {"GITLAB_CI": "true", "CI_COMMIT_REF_NAME": self.branch, "CI_DEFAULT_BRANCH": "main"}
        return self.app.settings(tag, **{**job, **SETTINGS, **more})

    def run(self, *words: str, tag: str = "good1", **more: str) -> Done:
        """A command in the branch's job."""
        return self.start(*words, tag=tag, **more).done(timeout=300)

    def start(self, *words: str, tag: str = "good1", **more: str) -> Run:
        """Begin one."""
        env = self.settings(tag, **more)
        self.app.started.append(Run(self.app.program, *words, cwd=self.app.checkout.path, env=env))
        return self.app.started[-1]

    def review(self, tag: str = "good1", **more: str) -> Done:
        """Make or update it."""
        return self.run("review", tag=tag, **more)

    def destroy(self, **more: str) -> Done:
        """Remove it, as the job of a branch that is gone does: without a checkout."""
        empty = self.app.checkout.path.parent / "empty"
        empty.mkdir(exist_ok=True)
        env = self.settings(**more)
        return run(self.app.program, "destroy", cwd=empty, env=env)

    def containers(self) -> list[dict[str, Any]]:
        """`docker inspect` of its containers."""
        other = App.__new__(App)
        other.name, other.hosts = self.name, self.app.hosts
        return other.containers()

    def left(self, host: int = 0) -> str:
        """All that a host has of it; empty for nothing."""
        script = (
            f"docker ps -aq --filter {LABEL}={self.name}; "
            f"docker volume ls -q --filter {LABEL}={self.name}; "
            f"docker network ls -q --filter {LABEL}={self.name}; "
            f"ls -d {self.folder} 2>/dev/null; true"
        )
        return self.app.hosts[host].root("sh", "-c", script)

    def current(self) -> str:
        """The id of the release that is proven."""
        link = self.app.hosts[0].root("readlink", f"{self.state}/current", check=False)
        return link.strip().rpartition("/")[2]

    def runs(self, tag: str) -> None:
        """This release is proven, and runs."""
        assert self.current().startswith(f"{tag}-")
        assert len(self.containers()) == 1

    def strike(self, running: Run, choose: random.Random) -> None:
        """Kill a run's job, or only the program on the host."""
        if choose.random() < 0.5:
            running.signal(signal.SIGKILL)
        self.app.hosts[0].kill_runs("[r]unner-[0-9a-f]*.sh within")

    def survives(self, command: str, count: int, choose: random.Random) -> None:
        """So many kills at random moments of `review` or `destroy`, each healed by the next."""
        ends, done = Counter[str](), self.review("good2")
        assert done.code == 0, done.output
        took = done.seconds
        for number in range(count):
            if command == "review" and choose.random() < 0.5:
                assert self.destroy().code == 0
            elif command == "destroy":
                assert self.review("good2").code == 0
            self.app.checkout.commit(f"Number {number}")
            tag = choose.choice(["good2", "good3"])
            running = self.start(command, tag=tag)
            time.sleep(choose.uniform(0.1, took))
            self.strike(running, choose)
            running.done(timeout=240)
            ends["something" if self.left() else "nothing"] += 1
            done = self.review(tag) if command == "review" else self.destroy()
            assert done.code == 0, done.output
            if command == "review":
                self.runs(tag)
            else:
                assert self.left() == ""
        print(f"{count} kills of {command}: {dict(ends)} left; all healed", file=sys.stderr)


KILLS = [pytest.param(command, 2) for command in ("review", "destroy")]
KILLS += [pytest.param(*each.values[:1], 30, marks=pytest.mark.soak) for each in KILLS]
