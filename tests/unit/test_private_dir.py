"""What a killed run leaves behind is removed by the next one; what lives keeps its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from ci_deploy.run import private_dir
from standins.support import until

# Makes its directory, says so, and waits.
LIVING = """
import contextlib, time
from ci_deploy.run import private_dir
private_dir.SOCKET_ROOM = 4096
with contextlib.ExitStack() as cleanup:
    path = private_dir.private_dir(cleanup)
    (path / "ssh").mkdir()
    (path / "ssh/config").write_text("TOKEN=abcdefgh")
    print(path, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(private_dir, "SOCKET_ROOM", 4096)
    return tmp_path


def start(base: Path) -> subprocess.Popen[str]:
    """It has made its directory."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", LIVING]
    running = subprocess.Popen(
        argv, env={**env, "TMPDIR": str(base)}, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert Path(running.stdout.readline().strip()).parent == base
    return running


def test_directory_of_a_killed_run_is_removed_by_the_next_one(base: Path) -> None:
    """Nobody else does it on Heroku, or before the ssh-agent has started (faults J9)."""
    with start(base) as running:
        [left] = base.glob("ci-deploy-*")
        with ExitStack() as cleanup:
            private_dir.private_dir(cleanup)
            assert (left / "ssh/config").exists(), "its owner lives"
        running.kill()
        running.wait()
    assert (left / "ssh/config").exists()
    with ExitStack() as cleanup:
        mine = private_dir.private_dir(cleanup)
        assert [*base.glob("ci-deploy-*")] == [mine]
    assert [*base.iterdir()] == []


def test_run_that_is_stopped_lives(base: Path) -> None:
    with start(base) as running:
        running.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{running.pid}/status")
        until(lambda: "T (stopped)" in status.read_text())
        private_dir.remove_left(base)
        assert len([*base.glob("ci-deploy-*/ssh/config")]) == 1
        running.kill()


@pytest.mark.parametrize("lock", ["", "new-lock", "link"])
def test_directory_without_a_lock_is_not_ours_to_remove(base: Path, lock: str) -> None:
    """Of an older version, of a run that makes it at this moment, or made by somebody who waits for
    us to open something else."""
    other = base / "ci-deploy-abcd1234"
    other.mkdir()
    if lock == "link":
        (other / "lock").symlink_to("/etc/passwd")
    elif lock:
        (other / lock).touch()
    private_dir.remove_left(base)
    assert other.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory away")
def test_directory_of_another_user_is_left_alone(base: Path) -> None:
    """Even its lock, which could be a pipe that nobody writes to."""
    other = base / "ci-deploy-abcd1234"
    other.mkdir()
    os.mkfifo(other / "lock")
    os.chown(other, 65534, 65534)
    private_dir.remove_left(base)
    assert other.exists()


def test_directory_can_be_made_where_no_lock_can_be_held(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On file systems without locks, or on a full disk."""

    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("fcntl.flock", fail)
    with ExitStack() as cleanup:
        path = private_dir.private_dir(cleanup)
        assert path.is_dir()
    assert not path.exists()
