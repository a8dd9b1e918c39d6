"""Files that others name: regular ones only, never through a link, of a sensible size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ci_deploy import ci, files
from ci_deploy.ci.base import REPORT_FILE
from ci_deploy.report.outputs import Report
from ci_deploy.settings import Setting
from ci_deploy.settings.sources import Source

FILES = (REPORT_FILE, "deploy.env", "deploy-annotations.json", "deploy-junit.xml")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "device"])
def test_outputs_never_leave_the_workspace(name: str, kind: str, tmp_path: Path) -> None:
    """Neither through a link nor into a FIFO, on which we would hang. (faults J7)"""
    outside, workspace = tmp_path / "outside", tmp_path / "workspace"
    workspace.mkdir()
    if kind == "fifo":
        os.mkfifo(workspace / name)
    elif kind == "device":
        (workspace / name).symlink_to("/dev/full")
    else:
        (workspace / name).symlink_to(outside)
    if kind == "link":
        outside.write_text("theirs")
    platform = ci.detect({"GITLAB_CI": "true", "CI_PROJECT_DIR": str(workspace)})
    with pytest.raises(OSError, match=r"symbolic link|not a regular file"):
        platform.write(Report("deploy"))
    assert (outside.read_text() if outside.exists() else "") == ("theirs" if kind == "link" else "")


@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
@pytest.mark.parametrize("kind", ["link", "fifo", "device"])
def test_file_commands_are_regular_files(variable: str, kind: str, tmp_path: Path) -> None:
    """The same for what GitHub's runner names. (faults J7)"""
    path = Path("/dev/zero") if kind == "device" else tmp_path / "named"
    if kind == "link":
        path.symlink_to(tmp_path / "other")
    if kind == "fifo":
        os.mkfifo(path)
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path), variable: str(path)}
    report = Report("deploy")
    report.finished = True
    with pytest.raises(OSError, match=r"symbolic link|not a regular file"):
        ci.detect(environ).write(report)


@pytest.mark.parametrize("variable", ["ENV_FILE", "APP_NAME_FILE"])
@pytest.mark.parametrize("kind", ["fifo", "device", "big"])
def test_inputs_from_files_neither_hang_nor_fill_the_memory(
    variable: str, kind: str, tmp_path: Path
) -> None:
    """A FIFO, a device and a file of gigabytes are problems. (faults J7)"""
    path = Path("/dev/zero") if kind == "device" else tmp_path / "named"
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "big":
        path.touch()
        os.truncate(path, 8 << 30)
    source = Source({variable: str(path)})
    source.find(Setting("APP_NAME", ""))
    reason = "it has more than 1024 KiB" if kind == "big" else "it is not a regular file"
    assert [each.message for each in source.problems] == [
        f"the file {path} cannot be read: {reason}."
    ]


def test_unreadable_event_payload_does_not_hang(tmp_path: Path) -> None:
    """GITHUB_EVENT_PATH that is a FIFO. (faults J7)"""
    os.mkfifo(tmp_path / "event")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(tmp_path / "event")}
    assert ci.detect(environ).context.change == ""


def test_mounted_secrets_may_be_links(tmp_path: Path) -> None:
    """Kubernetes mounts each secret as a link. (faults J7)"""
    (tmp_path / "data").write_text("x")
    (tmp_path / "link").symlink_to("data")
    assert files.read(tmp_path / "link") == b"x"


FULL = """
import resource, sys
from ci_deploy import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
try:
    getattr(files, sys.argv[1])(sys.argv[2], b"new" * 500)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize("way", ["write", "append"])
def test_full_disk_leaves_what_was_there(way: str, tmp_path: Path) -> None:
    """Half of an entry in GITHUB_OUTPUT fails the step after a live deploy, half a line of
    `deploy.env` is a wrong value."""
    path = tmp_path / "named"
    before = "old\n" * (300 if way == "write" else 200)
    path.write_text(before)
    argv = [sys.executable, "-c", FULL, way, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert path.read_text() == before
