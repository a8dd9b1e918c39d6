"""A twin of GitLab's docker executor: the script by stdin, File variables, its cancel.

Written from the behaviour of gitlab-runner (docker executor, its shell writer and the script that
terminates a job's processes), in our own code: a shell in the container reads the job's script from
stdin and runs it as `: | eval …` (in a subshell of its own with FF_USE_NEW_BASH_EVAL_STRATEGY);
File variables are files of mode 0666; a cancel sends TERM to every process but PID 1 in descending
order, waiting for each up to 6 s and 10 s in all, and then stops the container.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from standins.engine import LABEL, docker

SCRIPT = "deploy || exit $?"  # as in the templates
SHELL = "if command -v bash >/dev/null; then exec bash; fi; exec sh"
TERMINATE = r"""
pids=$(ls /proc | grep -E '^[0-9]+$' | sort -rn)
end=$(( $(date +%s) + 10 ))
for pid in $pids; do
  if [ "$pid" = 1 ] || [ "$pid" = $$ ] || ! [ -d "/proc/$pid" ]; then continue; fi
  ours=
  case $(tr '\0' ' ' <"/proc/$pid/cmdline") in *bin/deploy*|*bin/ci-deploy*) ours=$pid;; esac
  [ -z "$ours" ] || date +%s.%N
  kill -TERM "$pid" 2>/dev/null || continue
  waited=0
  while [ -d "/proc/$pid" ] && [ $waited -lt 6 ] && [ "$(date +%s)" -lt $end ]; do
    sleep 1  # a zombie counts as a process
    waited=$((waited + 1))
  done
  [ -z "$ours" ] || date +%s.%N
done
"""
PACE = 1.0  # seconds: how exactly the runner sees the end of a process


def wrapped(lines: str, *, new_eval: bool = False) -> str:
    """A job's lines as the runner gives them to bash, by its old or its new strategy."""
    command = f"eval {shlex.quote(lines)}"
    command = f"({command})" if new_eval else command
    return f"set -eo pipefail\nset +o noclobber\n: | {command}\nexit 0\n"


@dataclass
class Job:
    """How a job ended."""

    code: int
    log: str
    seconds: float  # until its end; of a cancel: from the signal that reached us to our end
    container_left: bool = False
    signalled: float = 0.0  # when a cancel reached us (`time.time`)


class GitLabRunner:
    """Runs a job's script in our image."""

    def __init__(self, image: str, network: str, workspace: Path) -> None:
        self.image = image
        self.network = network
        self.workspace = workspace

    def start(
        self,
        script: str,
        variables: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        *,
        new_eval: bool = False,
    ) -> RunningJob:
        """Start a job; `files` are File variables."""
        return RunningJob(self, script, variables, files or {}, new_eval=new_eval)


class RunningJob:
    """A job that runs."""

    def __init__(
        self,
        runner: GitLabRunner,
        script: str,
        variables: Mapping[str, str],
        files: Mapping[str, str],
        *,
        new_eval: bool = False,
    ) -> None:
        self.name = f"ci-deploy-twin-{secrets.token_hex(4)}"
        self.started = time.monotonic()
        self.output = b""
        temporary = runner.workspace.parent / f"{runner.workspace.name}.tmp"
        temporary.mkdir(exist_ok=True)
        known = {
            "GITLAB_CI": "true",
            "CI": "true",
            "CI_PROJECT_DIR": "/builds/acme/hello",
            "CI_JOB_ID": "99",
            **variables,
        }
        for name, text in files.items():
            (temporary / name).write_text(text)
            (temporary / name).chmod(0o666)
            known[name] = f"/builds/acme/hello.tmp/{name}"
        exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in known.items())
        job = wrapped(f"{exports}cd /builds/acme/hello\n{script}\n", new_eval=new_eval)
        self.process = subprocess.Popen(
            ["docker", "run", "--interactive", "--rm", "--name", self.name, "--label", LABEL,
             "--network", runner.network,
             "--volume", f"{runner.workspace}:/builds/acme/hello",
             "--volume", f"{temporary}:/builds/acme/hello.tmp",
             runner.image, "sh", "-c", SHELL],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(job.encode())
        self.process.stdin.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            self.output += chunk

    @property
    def log(self) -> str:
        """What was printed so far."""
        return self.output.decode(errors="replace")

    def wait_for(self, text: str, seconds: float = 40.0) -> None:
        """Until the log has `text`."""
        until = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < until, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.02)

    def cancel(self) -> Job:
        """As the runner cancels: the processes first, the container after them."""
        started = time.time()
        times = docker("exec", self.name, "sh", "-c", TERMINATE, check=False).stdout.split()
        docker("stop", "--time", "10", self.name, check=False)
        job = self.done()
        job.signalled, ended = map(float, [*times, str(started), str(time.time())][:2])
        job.seconds = ended - job.signalled
        job.container_left = bool(docker("ps", "-q", "-f", f"name={self.name}").stdout.strip())
        docker("rm", "--force", self.name, check=False)
        return job

    def done(self, timeout: float = 120.0) -> Job:
        """Wait for the end."""
        code = self.process.wait(timeout)
        self._reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()
        return Job(code, self.log, time.monotonic() - self.started)
