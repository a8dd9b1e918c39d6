"""Running programs: real small ones, with every way in which they can end."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ci_deploy.errors import Cancelled, DeployFailed, OutcomeUnknown, ToolMissing, Unreachable
from ci_deploy.process import child
from ci_deploy.process.cancellation import Cancellation, Phases
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.process.program import Change, Command, CommandFailed, Result
from ci_deploy.process.runner import Runner
from standins.support import alive, until
from tests.unit.conftest import Log

HARD = "trap '' TERM; "


def sh(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "sh", *arguments]


# --- reading ---


def test_read_gives_both_streams_and_the_code(runner: Runner) -> None:
    result = runner.read(sh("echo out; echo err >&2; exit 3"), ok=(0, 3))
    assert (result.text, result.errors, result.exit_code) == ("out", "err", 3)
    assert result.seconds > 0


@pytest.mark.parametrize("code", [0, 1, 2, 20, 127, 254])
def test_every_exit_code_is_an_answer_when_asked_for(runner: Runner, code: int) -> None:
    assert runner.read(sh(f"exit {code}"), ok=None).exit_code == code


def test_code_that_is_not_expected_raises_with_the_last_words(runner: Runner) -> None:
    with pytest.raises(CommandFailed) as caught:
        runner.read(sh("seq 30 >&2; exit 4"))
    assert caught.value.message == "sh failed with exit code 4."
    assert caught.value.lines == tuple(map(str, range(21, 31)))
    assert not caught.value.shown


@pytest.mark.parametrize(("signum", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (40, "signal 40")])
def test_signal_that_killed_a_program_is_named(runner: Runner, signum: int, name: str) -> None:
    with pytest.raises(CommandFailed, match=rf"^sh was killed by {name}\.$") as caught:
        runner.read(sh(f"kill -{signum} $$"))
    assert caught.value.result.exit_code == -signum


def test_stdin_is_what_is_given_or_empty_and_never_ours(runner: Runner) -> None:
    assert runner.read(["cat"]).out == b""
    data = bytes(range(256)) * 1000
    assert runner.read(["cat"], stdin=data).out == data


def test_stdin_may_be_a_descriptor_or_a_file(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of a file")
    read, write = os.pipe()
    os.write(write, b"of a pipe")
    os.close(write)
    given = runner.read_all([Command(["cat"], stdin=read)])
    assert given[0].text == "of a pipe"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)
    assert runner.change(["cat"], what="x", stdin=tmp_path / "file").lines == ("of a file",)


def test_much_output_on_both_streams_at_once_does_not_block(runner: Runner) -> None:
    result = runner.read(sh("head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait"))
    assert (len(result.out), len(result.err)) == (3_000_000, 3_000_000)


def test_memory_of_a_read_is_limited(runner: Runner) -> None:
    argv = sh("head -c 1000000 /dev/zero; echo done >&2")
    [result] = runner.read_all([Command(argv, limit=100_000)])
    assert len(result.out) == 100_000
    assert result.errors == "done"


def test_output_that_is_no_utf8_is_text_all_the_same(runner: Runner) -> None:
    assert runner.read(["printf", r"a\377b"]).text == "a\ufffdb"


@pytest.mark.parametrize("wrong", [None, False, 7, b"x", "a\0b", ["x"]])
def test_arguments_that_are_no_text_are_refused(runner: Runner, wrong: Any) -> None:
    """`sh` would drop None and False without a word: `run --app None x` became `run --app x`."""
    with pytest.raises(TypeError, match="echo: every argument must be text"):
        runner.read(["echo", wrong, "x"])


def test_arguments_arrive_as_they_are(runner: Runner) -> None:
    words = ["", "a b", "$HOME", "`id`", "*", "'\"", "-n", "\\", "é", "a\nb", "--x=y"]
    assert runner.read(["printf", "%s\\0", *words]).out.decode().split("\0")[:-1] == words


def test_program_that_is_missing_says_so(runner: Runner) -> None:
    with pytest.raises(ToolMissing, match="`no-such-tool` is not installed") as caught:
        runner.read(["no-such-tool"])
    assert caught.value.code == 10
    assert "install no-such-tool" in caught.value.hint


def test_children_get_only_what_is_allowed_and_what_is_theirs(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "secret")
    listed = runner.read(["/usr/bin/env"], env={"THEIRS": "1", "LANG": "x"}).text.splitlines()
    names = dict(line.split("=", 1) for line in listed)
    assert names.keys() == {"PATH", "LANG", "THEIRS"}
    assert names["LANG"] == "x"


def test_programs_of_the_system_come_before_those_of_the_given_path(
    tmp_path: Path, log: Log, change_log: ChangeLog, cancellation: Cancellation
) -> None:
    for name in ("cat", "only-there"):
        (tmp_path / name).write_text("#!/bin/sh\necho evil\n")
        (tmp_path / name).chmod(0o755)
    made = Runner(
        environ={},
        change_log=change_log,
        cancellation=cancellation,
        show=log.console.child,
        silent=log.console.silent,
        path=f"{tmp_path}:nonsense",
    )
    assert made.read(["cat"]).text == ""
    assert made.read(["only-there"]).text == "evil"


def test_descriptors_of_ours_are_not_inherited_and_none_is_lost(runner: Runner) -> None:
    secret = os.open("/dev/null", os.O_RDONLY)
    try:
        assert runner.read(["ls", "/proc/self/fd"]).text.split() == ["0", "1", "2", "3"]
        gc.collect()  # what earlier tests have dropped is closed now, and not in between
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            runner.read(["true"])
            runner.change(["true"], what="x")
            with pytest.raises(ToolMissing):
                runner.read(["no-such-tool"])
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(secret)


# --- several at once ---


def test_several_are_read_at_once_and_answer_in_order(runner: Runner, tmp_path: Path) -> None:
    """The first waits for the second, which would never come if they ran in a row."""
    os.mkfifo(tmp_path / "fifo")
    commands = [Command(sh('cat "$1"', str(tmp_path / "fifo")))]
    commands += [Command(sh('echo two >"$1"; echo one', str(tmp_path / "fifo")))]
    assert [result.text for result in runner.read_all(commands, timeout=20)] == ["two", "one"]


def test_several_changes_run_side_by_side_with_their_prefixes(runner: Runner, log: Log) -> None:
    changes = [
        Change(Command(sh(f"echo {name}; exit {code}")), f"change {name}", prefix=f"[{name}] ")
        for name, code in (("a", 0), ("b", 3))
    ]
    results = runner.change_all(changes, ok=None)
    assert [result.exit_code for result in results] == [0, 3]
    assert runner.change_log.changes == ["change a", "change b"]
    assert sorted(log.lines) == ["  │ [a] a", "  │ [b] b"]


def test_several_changes_are_not_begun_when_a_program_is_missing(
    runner: Runner, tmp_path: Path
) -> None:
    touch = Change(Command(["touch", str(tmp_path / "touched")]), "touch it")
    with pytest.raises(ToolMissing, match="`no-such-program` is not installed"):
        runner.change_all([touch, Change(Command(["no-such-program"]), "do it")])
    assert list(tmp_path.iterdir()) == []


# --- timeouts ---


def test_timeout_of_a_read_is_unreachable(runner: Runner) -> None:
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"sleep did not answer within \d s\."):
        runner.read(["sleep", "20"], timeout=0.2)
    assert time.monotonic() - started < 5


def once_heard(log: Log, seconds: float = 0.2) -> Callable[[], float]:
    """A deadline that is near when the program has said something."""
    end = [float("inf")]

    def deadline() -> float:
        if "│" in log.text:
            end[0] = min(end[0], time.monotonic() + seconds)
        return end[0]

    return deadline


def test_timeout_of_a_change_is_an_unknown_outcome_with_its_last_lines(
    runner: Runner, log: Log
) -> None:
    with pytest.raises(OutcomeUnknown, match=r"^push it: not finished after \d s") as caught:
        runner.change(sh("echo half; sleep 20"), what="push it", timeout=once_heard(log))
    assert caught.value.lines == ("half",)
    assert caught.value.shown


def test_what_ran_over_ssh_may_still_run_after_the_timeout() -> None:
    """It was said to be stopped, but only our own end was; a query named ssh and not the host."""
    result = Result(("ssh", "-T", "www.example.com", "--", "sleep 9"), timed_out=True, seconds=5)
    with pytest.raises(OutcomeUnknown, match=r"^push it: .* 5 s; it may still run on the server\."):
        Change(Command(result.argv), "push it").done(result, None)
    pushed = Result(("git", "push"), timed_out=True, seconds=5)
    with pytest.raises(OutcomeUnknown, match=r"^push it: .* 5 s; what the push has begun on the s"):
        Change(Command(pushed.argv), "push it").done(pushed, None)
    with pytest.raises(Unreachable, match=r"^www\.example\.com did not answer within 5 s\."):
        result.answered(None)


def test_saved_output_that_the_deadline_cut_names_the_deadline() -> None:
    """It "was killed by SIGTERM", as if somebody else had done it."""
    error = CommandFailed(Result(("cat",), -15, timed_out=True, seconds=3), "save it")
    assert error.message == "save it was stopped after 3 s (DEPLOY_TIMEOUT)."


def test_deadline_of_the_run_holds_for_every_program_and_is_told_truly(runner: Runner) -> None:
    runner.until = time.monotonic() + 0.2
    with pytest.raises(Unreachable, match=r"within \d s"):
        runner.read(["sleep", "20"], timeout=60)


def test_answer_that_came_in_time_is_read_however_late_we_look(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stalls must not make an empty answer of it, and that a success."""
    register = child.Pump._register

    def stall(self: child.Pump, children: Sequence[child.Child], selector: Any) -> None:
        register(self, children, selector)
        until(lambda: not children[0].alive)
        time.sleep(0.3)

    monkeypatch.setattr(child.Pump, "_register", stall)
    assert runner.read(["echo", "live"], timeout=0.2).text == "live"


def test_program_that_ignores_term_is_killed_after_the_grace(runner: Runner, log: Log) -> None:
    started, stubborn = time.monotonic(), sh(HARD + "echo ready; while :; do sleep 0.1; done")
    with pytest.raises(OutcomeUnknown):
        runner.change(stubborn, what="x", timeout=once_heard(log))
    assert Phases.STOP <= time.monotonic() - started < Phases.STOP + 5


@pytest.mark.parametrize(
    "script", ["sleep 300 & echo $!; wait", f"({HARD}sleep 300) & echo $!; wait"]
)
def test_timeout_ends_grandchildren_too(runner: Runner, log: Log, script: str) -> None:
    """Also one that ignores TERM while its parent does not."""
    with pytest.raises(OutcomeUnknown) as caught:
        runner.change(sh(script), what="x", timeout=once_heard(log))
    pid = int(caught.value.lines[0])
    until(lambda: not alive(pid))


def test_program_whose_grandchild_holds_the_pipe_ends_soon(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LEFTOVERS", 0.2)
    started = time.monotonic()
    result = runner.read(sh("sleep 30 & echo $!"))
    assert time.monotonic() - started < 5
    os.kill(int(result.text), signal.SIGKILL)


# --- changes ---


def test_change_is_announced_shown_and_watched(runner: Runner, log: Log) -> None:
    watched: list[str] = []
    result = runner.change(
        sh("echo one; echo two >&2; printf three"), what="do it", watch=watched.append
    )
    assert runner.change_log.changes == ["do it"]
    assert watched == ["one", "two", "three"]
    assert result.lines == ("one", "two", "three")
    assert log.lines == ["  │ one", "  │ two", "  │ three"]


def test_quiet_change_is_watched_but_not_shown(runner: Runner, log: Log) -> None:
    watched: list[str] = []
    runner.change(["echo", "one"], what="do it", watch=watched.append, quiet=True)
    assert (watched, log.text) == (["one"], "")


def test_change_that_fails_is_told_in_the_words_of_the_change(runner: Runner) -> None:
    with pytest.raises(CommandFailed, match=r"^push it failed with exit code 9\.$") as caught:
        runner.change(sh("echo no; exit 9"), what="push it")
    assert (caught.value.lines, caught.value.shown) == (("no",), True)


def test_when_planning_changes_are_announced_and_nothing_runs(
    runner: Runner, change_log: ChangeLog, tmp_path: Path
) -> None:
    change_log.planning = True
    touch = ["touch", str(tmp_path / "touched")]
    results = [
        runner.change(touch, what="touch it"),
        *runner.change_all([Change(Command(touch), "again")]),
        runner.save(Command(touch), tmp_path / "saved", what="save it"),
    ]
    assert results == [Result(tuple(touch), planned=True)] * 3
    assert len(runner.read_all([Command(["true"])], beside=Change(Command(touch), "beside"))) == 1
    assert runner.read(["echo", "read"]).text == "read"
    assert change_log.changes == ["touch it", "again", "save it", "beside"]
    assert list(tmp_path.iterdir()) == []


def test_silent_program_is_mentioned(
    runner: Runner, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "SILENCE", 0.1)
    monkeypatch.setattr(child, "_next_look", lambda _children: 0.02)
    runner.change(["sleep", "1"], what="wait")
    assert log.lines
    assert all(re.fullmatch(r"  … still running, \d s", line) for line in log.lines)
    before = log.text
    runner.read(["sleep", "0.2"])
    assert log.text == before


def test_saved_output_is_for_our_eyes_only(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "saved"
    runner.save(Command(["head", "-c", "3000000", "/dev/zero"]), path, what="save it")
    assert path.stat().st_size == 3_000_000
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandFailed, match="save it failed with exit code 5"):
        runner.save(Command(sh("echo part; echo why >&2; exit 5")), path, what="save it")
    assert not path.exists(), "no part is left, which might be taken for the whole"


def test_saved_output_replaces_what_the_repository_has_there(
    runner: Runner, tmp_path: Path
) -> None:
    """A file that everybody may read, or a link that leads elsewhere."""
    path, elsewhere = tmp_path / "saved", tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    path.symlink_to(elsewhere)
    runner.save(Command(["echo", "ours"]), path, what="save it")
    assert (path.is_symlink(), elsewhere.read_text()) == (False, "theirs")
    path.chmod(0o644)
    runner.save(Command(["echo", "again"]), path, what="save it")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("again\n", 0o600)


# --- cancelling ---


def cancel_soon(cancellation: Cancellation, seconds: float = 0.2) -> None:
    threading.Timer(seconds, cancellation.cancel, [signal.SIGINT]).start()


def cancel_when_awaited(cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancel while it is waited for our own signal."""
    awaited = cancellation.awaited

    def press(seconds: float) -> bool:
        cancellation.cancel(signal.SIGINT)
        return awaited(seconds)

    monkeypatch.setattr(cancellation, "awaited", press)


def test_cancel_ends_a_read_at_once(runner: Runner, cancellation: Cancellation) -> None:
    cancel_soon(cancellation)
    started = time.monotonic()
    with pytest.raises(Cancelled) as caught:
        runner.read(["sleep", "20"])
    assert caught.value.code == 130
    assert time.monotonic() - started < 5


def test_cancel_ends_all_that_run_at_once_also_the_stubborn(
    runner: Runner, cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Phases, "STOP", 0.3)
    ready, pressed = tmp_path / "ready", []

    def press() -> None:
        until(ready.exists)
        pressed.append(time.monotonic())
        cancellation.cancel(signal.SIGINT)

    threading.Thread(target=press).start()
    stubborn = sh(HARD + 'touch "$1"; sleep 20', str(ready))
    with pytest.raises(Cancelled):
        runner.read_all([Command(stubborn), Command(["sleep", "20"])])
    assert 0.2 < time.monotonic() - pressed[0] < 5


def test_nothing_is_begun_after_a_cancel(
    runner: Runner, cancellation: Cancellation, tmp_path: Path
) -> None:
    cancellation.cancel(signal.SIGTERM)
    touch = ["touch", str(tmp_path / "touched")]
    with pytest.raises(Cancelled):
        runner.read(touch)
    with pytest.raises(Cancelled):
        runner.change(touch, what="touch it")
    assert list(tmp_path.iterdir()) == []


def test_last_questions_can_be_asked_while_leaving(
    runner: Runner, cancellation: Cancellation
) -> None:
    cancellation.cancel(signal.SIGTERM)
    cancellation.leave(20)
    assert runner.read(["echo", "live"]).text == "live"
    cancellation.leave(0.3)
    started = time.monotonic()
    with pytest.raises(Unreachable):
        runner.read(["sleep", "20"])
    assert time.monotonic() - started < 5


def test_child_killed_before_us_counts_as_a_cancel(runner: Runner) -> None:
    """GitLab's cancel kills the children first; our own signal never comes here."""
    started = time.monotonic()
    with pytest.raises(Cancelled) as caught:
        runner.change(sh("kill -TERM $$"), what="x")
    assert caught.value.code == 143
    assert 0.9 < time.monotonic() - started < 5


def test_fork_killed_before_it_is_a_program_counts_as_a_cancel(
    runner: Runner, cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitLab's cancel may hit it at any moment."""
    monkeypatch.setattr(os, "setsid", lambda: os._exit(143))  # the first thing that a fork does
    cancel_when_awaited(cancellation, monkeypatch)
    with pytest.raises(Cancelled) as caught:
        runner.change(["true"], what="x")
    assert caught.value.code == 130
    cancellation.leave(1.0)
    with pytest.raises(DeployFailed, match="true was killed before it had begun"):
        runner.change(["true"], what="x")


def test_signal_that_follows_the_childs_decides_the_code(
    runner: Runner, cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel_when_awaited(cancellation, monkeypatch)
    with pytest.raises(Cancelled) as caught:
        runner.change(sh("kill -INT $$"), what="x")
    assert caught.value.code == 130


def test_program_that_is_cut_off_waits_for_our_signal_but_is_no_cancel(runner: Runner) -> None:
    started = time.monotonic()
    assert runner.read(sh("exit 255"), ok=None).exit_code == 255
    assert 0.4 < time.monotonic() - started < 5


def test_code_that_is_expected_is_not_waited_for(
    runner: Runner, cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git cat-file` answers 128 for what is not there."""
    waited: list[float] = []
    monkeypatch.setattr(cancellation, "awaited", waited.append)
    assert runner.read(sh("exit 128"), ok=(0, 128)).exit_code == 128
    assert waited == []
    assert runner.read(sh("exit 128"), ok=None).exit_code == 128
    assert waited == [0.5]


# --- beside others ---


def test_served_program_runs_until_the_block_is_left(
    runner: Runner, cancellation: Cancellation
) -> None:
    with runner.serve(Command(["sleep", "30"])) as served:
        cancellation.cancel(signal.SIGTERM)  # the last questions need it
        time.sleep(0.1)
        assert served.alive
        pid = served.process.pid
    assert not alive(pid)


def test_stop_ends_what_an_error_has_left_running(runner: Runner) -> None:
    left = runner._start(Command(["sleep", "30"]))
    runner.stop()
    assert not left.alive
    assert left.reap() == -signal.SIGTERM
