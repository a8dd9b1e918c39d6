"""The log: sections, shields, colours, and no secret through any of its doors."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

import pytest

from ci_deploy.ci.github import GitHub
from ci_deploy.ci.gitlab import GitLab
from ci_deploy.ci.local import Local
from ci_deploy.output.redaction import Redactor
from ci_deploy.report.console import GREEN, RED, Console
from tests.unit.conftest import Log

SECRET = "s3cret-s3cret-s3cret"
MakeLog = Callable[..., Log]


def fill(log: Log) -> None:
    """Say the secret in every way there is."""
    console = log.console
    log.redactor.add(SECRET)
    console.line(f"line {SECRET}", RED)
    console.indent(f"indent\n{SECRET}")
    console.debug(f"debug {SECRET}")
    console.warning(f"warning {SECRET}")
    console.annotate("error", "title", f"annotate {SECRET}")
    console.box([f"box {SECRET}"], GREEN)
    with console.section("name", f"section {SECRET}"):
        console.line("inside")
    with console.child() as sanitizer:
        sanitizer.feed(f"child {SECRET[:9]}".encode())
        sanitizer.feed(f"{SECRET[9:]}\n".encode())


@pytest.mark.parametrize("platform", [Local, GitLab, GitHub])
def test_no_door_lets_a_secret_out(
    make_log: MakeLog, platform: type[Local | GitLab | GitHub]
) -> None:
    log = make_log(platform({}), colour=True, debug=True)
    fill(log)
    assert SECRET not in log.text
    assert log.text.count("[REDACTED]") >= 7
    assert SECRET not in str(log.console.warnings)


def test_platform_is_told_of_the_secrets(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    log.redactor.add(SECRET)
    log.console.mask()
    assert log.lines == [f"::add-mask::{SECRET}"]


@pytest.mark.parametrize(
    "text", ["::error::x", "##[error]x", "\x1b]0;title\x07x", "a\x00b", "section_end:1:x"]
)
def test_foreign_text_in_our_own_lines_is_harmless(make_log: MakeLog, text: str) -> None:
    log = make_log(GitHub({}))
    log.console.line(text)
    log.console.box([text])
    with log.console.section("x", text):
        log.console.line("inside")
    for line in log.lines:
        assert not line.strip(" │").startswith("::error")
        assert "##[" not in line
        assert "section_end:1" not in line
    assert "\x1b" not in log.text
    assert "\x00" not in log.text


# --- sections ---


def test_section_opens_with_its_first_line_and_closes(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    with log.console.section("deploy", "Deploy"):
        assert log.lines == []
        log.console.line("inside")
        assert log.lines == ["::group::Deploy", "inside"]
    assert log.lines[-1] == "::endgroup::"


def test_section_in_which_nothing_happens_is_not_there(make_log: MakeLog) -> None:
    for platform in (GitHub({}), GitLab({}), Local({})):
        log = make_log(platform)
        with log.console.section("deploy", "Deploy"):
            pass
        log.console.line("after")
        assert log.lines == ["after"]


def test_section_is_closed_after_an_error(make_log: MakeLog) -> None:
    log = make_log(GitLab({}))
    with contextlib.suppress(KeyError), log.console.section("deploy", "Deploy"):
        log.console.line("inside")
        raise KeyError
    assert [line.split(":")[0] for line in log.text.split("\n") if "section" in line] == [
        "\x1b[0Ksection_start",
        "\x1b[0Ksection_end",
    ]


def test_child_opens_the_section_too(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    with log.console.section("deploy", "Deploy"), log.console.child() as sanitizer:
        sanitizer.feed(b"child\n")
    assert log.lines[0] == "::group::Deploy"
    assert log.lines[1].startswith("::stop-commands::")


def test_long_wait_is_mentioned_every_30_seconds_of_silence(
    make_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, now = make_log(Local({})), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(100):
        log.console.still(1000.0)
        now[0] += 1.0
    log.console.line("a line")
    for _ in range(20):
        log.console.still(1000.0)
        now[0] += 1.0
    seconds = [f"  … still running, {count} s" for count in (30, 60, 90)]
    assert log.lines == [*seconds, "a line"]


# --- children ---


def test_child_is_shielded_on_github_from_its_first_to_its_last_line(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    with log.console.child() as sanitizer:
        sanitizer.feed(b"one\n::error::evil\nlast without newline")
    stop, *inside, resume = log.lines
    token = stop.removeprefix("::stop-commands::")
    assert resume == f"::{token}::"
    assert inside[0] == "  │ one"
    assert inside[-1] == "  │ last without newline"
    assert len(inside) == 3


def test_shield_is_lifted_after_an_error(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    with contextlib.suppress(KeyError), log.console.child() as sanitizer:
        sanitizer.feed(b"x\n")
        raise KeyError
    assert log.lines[-1] == f"::{log.lines[0].removeprefix('::stop-commands::')}::"


def test_children_side_by_side_share_one_shield(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    with log.console.child(prefix="[a] ") as one, log.console.child(prefix="[b] ") as two:
        one.feed(b"1\n")
        two.feed(b"2\n")
    assert [line[:15] for line in log.lines] == [
        "::stop-commands",
        "  │ [a] 1",
        "  │ [b] 2",
        log.lines[-1][:15],
    ]
    with log.console.child() as again:
        again.feed(b"3\n")
    assert log.text.count("::stop-commands::") == 2


def test_quiet_child_is_neither_shown_nor_shielded(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    seen: list[str] = []
    with log.console.child(quiet=True, watch=seen.append) as sanitizer:
        sanitizer.feed(b"\x1b[31mone\x1b[0m\ntwo\n")
    assert (log.text, seen) == ("", ["one", "two"])


def test_output_for_programs_has_no_mark_and_its_own_stream(make_log: MakeLog) -> None:
    ours, theirs = make_log(), make_log()
    console = Console(Local({}), Redactor(), fd=ours.fd, child_fd=theirs.fd)
    console.line("said")
    with console.child() as sanitizer:
        sanitizer.feed(b"printed\n")
    assert (ours.text, theirs.text) == ("said\n", "printed\n")


# --- looks ---


def test_without_colour_there_is_none_not_even_a_childs(make_log: MakeLog) -> None:
    log = make_log()
    log.console.line("red", RED)
    with log.console.child() as sanitizer:
        sanitizer.feed(b"\x1b[32mgreen\x1b[0m\n")
    assert log.lines == ["red", "  │ green"]


def test_colour_begins_and_ends_on_each_line(make_log: MakeLog) -> None:
    log = make_log(colour=True)
    log.console.line("a\nb", RED)
    log.console.line("", RED)
    assert log.lines == ["\x1b[31ma\x1b[0m", "\x1b[31mb\x1b[0m", ""]


def test_debug_lines_are_only_for_those_who_asked(make_log: MakeLog) -> None:
    quiet, loud = make_log(), make_log(debug=True)
    for log in (quiet, loud):
        log.console.debug("detail")
    assert (quiet.lines, loud.lines) == ([], ["  detail"])


def test_box_is_as_wide_as_its_widest_line(log: Log) -> None:
    log.console.box(["a", "longer"])
    assert log.lines == ["", "┌────────┐", "│ a      │", "│ longer │", "└────────┘"]


def test_warnings_are_shown_annotated_and_kept(make_log: MakeLog) -> None:
    log = make_log(GitHub({}))
    log.console.warning("careful")
    assert log.lines == ["  ! careful", "::warning title=ci-deploy::careful"]
    assert log.console.warnings == ["careful"]


# --- a log that is not there any more ---


def test_broken_pipe_does_not_stop_a_deploy() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        Console(Local({}), Redactor(), fd=write, child_fd=write).line("nobody reads this")
    finally:
        os.close(write)


def test_full_disk_and_a_closed_log_do_not_stop_a_deploy() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    for fd in (full, 999_999):
        console = Console(Local({}), Redactor(), fd=fd, child_fd=fd)
        console.line("nobody reads this")
        with console.child() as sanitizer:
            sanitizer.feed(b"nor this\n")
    os.close(full)


def test_log_that_is_full_for_a_moment_gets_everything() -> None:
    """Somebody may have made the pipe non-blocking (node does)."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    got = bytearray()

    def drain() -> None:
        while data := os.read(read, 65536):
            got.extend(data)

    reader = threading.Thread(target=drain)
    console = Console(Local({}), Redactor(), fd=write, child_fd=write)
    threading.Timer(0.1, reader.start).start()
    console.line("x" * 300_000)
    os.close(write)
    reader.join(5)
    os.close(read)
    assert len(got) == 300_001


def test_what_is_decided_by_output_does_not_depend_on_what_is_redacted(make_log: MakeLog) -> None:
    """The log gets what may be shown, `watch` what the server said (faults J8)."""
    log = make_log()
    log.redactor.add("deployed", "tok-12345678")
    seen: list[str] = []
    with log.console.child(watch=seen.append) as sanitizer:
        sanitizer.feed(b"=====> Application deployed: tok-123")
        sanitizer.feed(b"45678  \r\n\nend")
    assert seen == ["=====> Application deployed: tok-12345678", "", "end"]
    assert "deployed" not in log.text
    assert "tok-1" not in log.text
