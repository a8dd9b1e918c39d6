"""The process edge: what was asked for, and errors that end before a run begins."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci_deploy import __version__, cli, commands
from ci_deploy.commands.options import OPTIONS
from ci_deploy.commands.version import TOOLS
from ci_deploy.errors import Refused, ToolMissing, exit_codes
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.run.private_dir import private_dir


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], workspace: Path) -> Cli:
    """Run a command in this process, with an environ of its own."""
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(Cancellation, "install", lambda *_: None)

    def run(*argv: str, **environ: str) -> Ended:
        monkeypatch.setattr(cli, "environ", lambda: dict(environ))
        code = cli.run(argv)
        sys.stdout.flush()
        return Ended(code, *capfd.readouterr())

    return run


def edge(*argv: str, closed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """The same as a process of its own."""
    script = f'exec "$0" -m ci_deploy "$@" {closed}'
    return subprocess.run(
        ["sh", "-c", script, sys.executable, *argv],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_help_lists_every_command(run: Cli) -> None:
    for argv in (("--help",), ()):
        ended = run(*argv)
        assert ended.code == 0
        assert all(f"  {name} " in ended.out for name in commands.COMMANDS)


def test_debug_trace_of_the_runner_is_warned_about(run: Cli, workspace: Path) -> None:
    """The runner prints the secrets; only a warning can tell whoever switched it on. (faults D4)"""
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(workspace), "CI_DEPLOY": "false"}
    assert "! CI_DEBUG_TRACE is on" in run("deploy", CI_DEBUG_TRACE="true", **gitlab).out
    assert "CI_DEBUG_TRACE" not in run("deploy", **gitlab).out


@pytest.mark.parametrize("strategy", ["none", "empty"])
def test_job_without_a_checkout_names_both_strategies(
    run: Cli, tmp_path: Path, strategy: str
) -> None:
    """`GIT_STRATEGY: empty` leaves no checkout either. (faults D4)"""
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(tmp_path), "GIT_STRATEGY": strategy}
    ended = run(
        "plan",
        APP_NAME="web",
        HEROKU_API_KEY="x" * 36,
        HEROKU_API_URL="http://127.0.0.1:9",
        **gitlab,
    )
    assert ended.code == 2
    assert strategy in ended.out.partition("GIT_STRATEGY")[2].splitlines()[0]


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_has_its_own_help(run: Cli, command: str) -> None:
    """`rollback --help` is about rollback, and shows the options that it takes. (faults G1)"""
    ended = run(command, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"usage: ci-deploy {command} ")
    for option in OPTIONS:
        assert (f"  {option}" in ended.out) is (option in commands.COMMANDS[command].options)
    assert run("plan", "rollback", "--help").out.startswith("usage: ci-deploy plan rollback ")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("init", "accept what was detected, without asking"),
        ("destroy", "with --stale or --adopt: make the change;"),
        ("review", "with --adopt: adopt the app;"),
        ("unlock", "--yes make the change; without this option it is only shown"),
    ],
)
def test_help_does_not_promise_to_wait_for_yes_where_nothing_waits(
    run: Cli, command: str, words: str
) -> None:
    """`destroy` removes the branch's app without it, and `init` writes the file."""
    assert words in " ".join(run(command, "--help").out.split())


def test_version_may_be_asked_for_as_an_option(run: Cli) -> None:
    """As every program answers it. (faults G1)"""
    ended = run("--version")
    assert (ended.code, ended.out) == (0, f"ci-deploy {__version__}\n")


@pytest.mark.parametrize("place", ["ENV_FILE", "DEPLOY_LOG_LEVEL_FILE"])
def test_log_level_counts_wherever_it_is_set(run: Cli, tmp_path: Path, place: str) -> None:
    """One reader of settings; debug shows the programs that are run. (faults B6)"""
    text = "DEPLOY_LOG_LEVEL=debug" if place == "ENV_FILE" else "debug"
    (tmp_path / "level").write_text(text)
    assert "$ git --version" in run("version", **{place: str(tmp_path / "level")}).err
    assert "$ git" not in run("version").err


def test_tag_that_no_registry_takes_is_refused(run: Cli) -> None:
    """`ci-deploy tag` must not print what `docker push` refuses. (faults G5)"""
    assert run("tag", DEPLOY_TAG="feature/x y").code == 2
    assert run("tag", DEPLOY_TAG="1.2_a-b").out == "1.2_a-b\n"


def test_misspelt_command_gets_a_suggestion(run: Cli) -> None:
    ended = run("delpoy")
    assert ended.code == 2
    assert "there is no command `delpoy`. Did you mean `deploy`?" in ended.out


@pytest.mark.parametrize(
    "argv",
    [
        ("deploy", "--forse"),
        ("deploy", "staging"),
        ("plan", "x"),
        ("destroy", "--stale", "-5", "--yes"),
        ("destroy", "--stale", "soon"),
        ("rollback", "--migrations", "-1"),
        ("version", "--short", "--adopt"),
        ("unlock", "web2", "--yes"),
        ("rollback", "v1", "v2"),
        ("rollback", "--mig", "1"),
        ("plan", "rollback", "v1", "v2"),
        ("plan", "deploy", "--migrations", "1"),
        ("deploy", "--yes"),
        ("deploy", "--", "x"),
        ("run", "ls", "-l"),
        ("run", "ls", "--", "ps"),
        ("--yes", "unlock"),
        ("doctor", "--migrations", "1"),
        ("history", "5"),
        ("tag", "--short"),
    ],
    ids=" ".join,
)
def test_words_that_mean_nothing_are_refused(run: Cli, argv: tuple[str, ...]) -> None:
    """An option belongs to its command, and no word is dropped. (faults G1)"""
    ended = run(*argv, APP_NAME="web")
    assert ended.code == 2
    assert "Invalid command line: " in ended.out + ended.err


def test_command_may_come_as_an_input_on_github_only(run: Cli, workspace: Path) -> None:
    ended = run(GITHUB_ACTIONS="true", INPUT_COMMAND="delpoy 'a b'")
    assert "there is no command `delpoy`" in ended.out
    assert "usage: " in run(INPUT_COMMAND="delpoy").out
    assert "APP_NAME" in run(GITHUB_ACTIONS="true").out.upper().replace("-", "_")


def test_input_with_half_a_quote_is_one_clear_answer(run: Cli) -> None:
    ended = run(GITHUB_ACTIONS="true", INPUT_COMMAND="run -- echo 'x")
    assert ended.code == 2
    assert "Invalid command line: " in ended.out
    assert "Traceback" not in ended.out


def test_version_is_the_only_thing_on_stdout(run: Cli) -> None:
    ended = run("version")
    assert ended.out.splitlines()[0] == f"ci-deploy {__version__}"
    assert [line.split()[0] for line in ended.out.splitlines()][1:] == list(TOOLS)


def test_what_programs_read_goes_to_stdout_and_all_else_to_stderr(run: Cli) -> None:
    ended = run("run", "--", "true", APP_NAME="My App")
    assert ended.code == 2
    assert ended.out == ""
    assert "APP_NAME" in ended.err


def test_early_error_leaves_its_outputs(run: Cli, workspace: Path) -> None:
    assert run("deploy", GITLAB_CI="true", CI_PROJECT_DIR=str(workspace)).code == 2
    report = json.loads((workspace / "deploy-report.json").read_text())
    assert (report["status"], report["exit_code"], report["finished"]) == ("failed", 2, True)
    assert "APP_NAME: is required" in report["message"]
    assert "DEPLOYED_STATUS=failed\n" in (workspace / "deploy.env").read_text()


def test_early_error_is_told_even_where_nothing_can_be_written(run: Cli) -> None:
    assert run("deploy", GITLAB_CI="true", CI_PROJECT_DIR="/no/such/folder").code == 2


def test_disabled_is_green_even_where_nothing_can_be_written(run: Cli) -> None:
    environ = {"GITLAB_CI": "true", "CI_PROJECT_DIR": "/no/such/folder", "CI_DEPLOY": "false"}
    ended = run("deploy", **environ)
    assert ended.code == 0, ended.out
    assert "nothing was done" in ended.out
    assert "an output could not be written" in ended.out


@pytest.mark.parametrize("value", ["nonsense", "TRUE!"])
def test_switch_that_is_neither_on_nor_off_is_an_error(run: Cli, value: str) -> None:
    ended = run("deploy", CI_DEPLOY=value)
    assert ended.code == 2
    assert "CI_DEPLOY" in ended.out


def test_bug_is_told_as_one_with_a_redacted_traceback(
    run: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> int:
        message = "s3cret-passphrase in an exception"
        raise RuntimeError(message)

    monkeypatch.setattr("ci_deploy.commands.flows.flow", broken)
    ended = run("deploy", SSH_PRIVATE_KEY_PASSPHRASE="s3cret-passphrase")
    assert ended.code == 1
    assert "This is a bug in ci-deploy" in ended.out
    assert "Traceback" in ended.out
    assert "s3cret" not in ended.out


def test_secrets_in_early_errors_are_redacted_everywhere(
    run: Cli, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    def refuse(*_: Any) -> int:
        raise Refused("not with s3cret-passphrase.", hint="s3cret-passphrase")

    monkeypatch.setattr("ci_deploy.commands.flows.flow", refuse)
    environ = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(workspace)}
    ended = run("deploy", SSH_PRIVATE_KEY_PASSPHRASE="s3cret-passphrase", **environ)
    assert ended.code == 14
    assert "s3cret" not in ended.out
    for path in workspace.iterdir():
        assert "s3cret" not in path.read_text()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "</dev/null >/dev/full"])
def test_closed_or_full_output_changes_no_exit_code(closed: str, tmp_path: Path) -> None:
    environ = {"CI_DEPLOY": "false", "GITLAB_CI": "1", "CI_PROJECT_DIR": str(tmp_path)}
    done = edge("deploy", closed=closed, **environ)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["version", "version --short", "--help", "tag", "doctor"])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "| head -c 0"])
def test_answer_that_nobody_reads_is_no_bug(command: str, closed: str, tmp_path: Path) -> None:
    environ = {"CI_PROJECT_DIR": str(tmp_path), "DEPLOY_TAG": "7"}
    done = edge(*command.split(), closed=closed, **environ)
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize("command", ["version", "--help"])
def test_answer_that_cannot_be_written_is_an_error(command: str, tmp_path: Path) -> None:
    """`ci-deploy tag >tag.env` on a full disk left an empty file, and was green."""
    done = edge(command, closed=">/dev/full", CI_PROJECT_DIR=str(tmp_path))
    assert (done.returncode, "could not be written to stdout: No space left" in done.stderr) == (
        10,
        True,
    )


HANGING = """
import os, time
from ci_deploy import cli
from ci_deploy.commands import version

def act(assembly, options):
    folder = assembly.bare_context().private_dir
    (folder / "secret").write_text("secret")
    print(folder, flush=True)
    os.kill(os.getpid(), 15)
    time.sleep(30)

cli.Phases.GONE = 0.3
version.version = act
cli.run(["version"])
"""


def ended_at_once(program: str) -> subprocess.CompletedProcess[str]:
    """A program that has printed its private directory, and that would take half a minute."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert time.monotonic() - started < 10
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("ci-deploy-")
    assert not folder.exists()
    return done


def test_whatever_hangs_after_a_cancel_the_process_is_gone_and_its_private_directory_too() -> None:
    done = ended_at_once(HANGING)
    assert done.returncode == 143
    assert "the clean-up did not end in time. `ci-deploy status` shows what" in done.stderr


def test_exit_codes_of_the_table_are_unique_and_those_of_the_contract() -> None:
    codes = [code for code, _, _ in exit_codes()]
    assert codes == [
        "0",
        "1",
        "2",
        "10",
        "11",
        "12",
        "13",
        "14",
        "20",
        "21",
        "22",
        "23",
        "130, 143",
    ]


def test_machine_without_a_directory_for_temporary_files_is_told_what_to_add(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    with contextlib.ExitStack() as cleanup, pytest.raises(ToolMissing) as raised:
        private_dir(cleanup)
    assert "--tmpfs /tmp" in raised.value.hint
