"""The entry points of the process, `ci-deploy` and `deploy`: arguments, early signals, exit
codes."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys

from ci_deploy import __version__


def main() -> None:
    """Run `ci-deploy` with the arguments of the process, and exit with the command's exit code.
    Never returns."""
    _leave(_run(sys.argv[1:]))


def deploy() -> None:
    """Run `deploy`, the short name of `ci-deploy deploy`, and exit with its exit code. Never
    returns."""
    _leave(_run(["deploy", *sys.argv[1:]]))


def _run(argv: list[str]) -> int:
    _open_all()
    if argv == ["version", "--short"]:  # before anything is imported
        sys.stdout.write(f"{__version__}\n")
        return 0
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # until `cli` takes them over
        signal.signal(signum, _too_early)
    gc.disable()  # importing leaves no garbage, and looking for it took 13 of 190 ms
    from ci_deploy.errors import Ending
    from ci_deploy.process import limits

    try:
        from ci_deploy import cli

        return _flushed(cli.run(argv))
    except Exception as error:  # a limit may be hit again during the report or the clean-up
        if not isinstance(known := limits.named(error), Ending):
            raise
        os.write(2, f"{known.message}\n{known.hint}\n".encode())
        return known.code


def _open_all() -> None:
    """Open /dev/null in place of standard streams that are closed; else the next file would get
    their number, and with it the log."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, open(fd, "r+" if fd else "r", closefd=False))  # noqa: SIM115


def _flushed(code: int) -> int:
    """Flush stdout and return the exit code: `code`, or 10 when writing the output failed. A reader
    that has closed the pipe is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return code
    except OSError as error:
        os.write(2, f"the output could not be written to stdout: {error.strerror}.\n".encode())
        return code or 10
    return code


def _too_early(signum: int, _frame: object) -> None:
    """Handle a signal that comes during the imports: nothing has begun, so exit at once. (As PID 1,
    the kernel would ignore the signal without a handler.)"""
    name = signal.Signals(signum).name
    os.write(2, f"cancelled ({name}) before anything was started.\n".encode())
    os._exit(128 + (signal.SIGTERM if signum == signal.SIGHUP else signum))


def _leave(code: int) -> None:
    """Exit at once, without waiting for threads: a hanging HTTP request must not delay a cancelled
    job."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # closed, or a full disk
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
