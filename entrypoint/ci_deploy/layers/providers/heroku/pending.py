"""Waits for something on Heroku that is `pending`: a build, a release phase, a setup."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ci_deploy.errors import OutcomeUnknown, Unreachable
from ci_deploy.layers.providers.heroku.output import Output
from ci_deploy.run.context import Context

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0  # seconds between two queries
OUTAGE = 300.0  # seconds for which Heroku may be unreachable meanwhile
FINAL = {"succeeded", "failed", "expired"}

Found = Mapping[str, Any]
T = TypeVar("T")


@contextlib.contextmanager
def unknown_if_lost() -> Iterator[None]:
    """Context manager for what follows after a change has started: turns Unreachable into
    OutcomeUnknown, with the same message."""
    try:
        yield
    except Unreachable as error:
        raise OutcomeUnknown(error.message, hint=error.hint, lines=error.lines) from None


def retry_while_away(ctx: Context, look: Callable[[], T], *, what: str) -> T:
    """Return what `look` returns; call it again as long as it raises Unreachable. `what` names what
    is in progress on Heroku, like "the build of 1234567". Raises OutcomeUnknown after OUTAGE
    seconds, or at the end of the run, and what else `look` raises.
    """
    since = time.monotonic()
    while True:
        try:
            return look()
        except Unreachable as error:
            now = time.monotonic()
            if now >= min(since + OUTAGE, ctx.runner.until):
                raise _unknown(ctx, what, error.message) from None
            ctx.console.indent(f"{error.message} Asking again.")
            ctx.cancellation.sleep(FIRST_PAUSE)


def until_over(
    ctx: Context,
    found: Found,
    look: Callable[[], Found],
    *,
    what: str,
    output: Output,
    stream: Callable[[Found], str] = lambda found: str(found.get("output_stream_url") or ""),
    over: Callable[[Found], bool] = lambda found: found.get("status") in FINAL,
) -> Found:
    """Call `look`, which fetches the API's JSON of `what`, until that is `over`, and show the
    output meanwhile; returns the last JSON. `found` is the first, perhaps {}; `stream` returns the
    URL of the output from one, empty for none.

    Nothing in the output decides anything: only the status counts. Raises OutcomeUnknown at the end
    of the run, or when Heroku is unreachable for OUTAGE seconds.
    """
    pause, started = FIRST_PAUSE, time.monotonic()

    def ended() -> bool:
        """Whether to stop reading the output, asked while it is silent: the result is final, or the
        run's time is over."""
        ctx.console.still(started)
        try:
            return time.monotonic() >= ctx.runner.until or over(look())
        except Unreachable:
            return False

    while not over(found):
        if url := stream(found):
            output.follow(url, leave=ended)
        found = retry_while_away(ctx, look, what=what)
        if not over(found):
            if time.monotonic() >= ctx.runner.until:
                raise _unknown(ctx, what)
            ctx.console.still(started)
            ctx.cancellation.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
    output.complete(stream(found))
    return found


def _unknown(ctx: Context, what: str, why: str = "") -> OutcomeUnknown:
    """The error when the end of `what` was not seen: the run's time is over, or else `why`."""
    message = f"the result of {what} is unknown: {why}"
    if time.monotonic() >= ctx.runner.until:
        message = f"timed out (DEPLOY_TIMEOUT) before the end of {what} was seen."
    hint = "Run the job again: it first looks at what Heroku has."
    if ctx.command == "rollback":  # another one would go back from what is live by then
        hint = "See with `ci-deploy status` what is live before you roll back again."
    return OutcomeUnknown(message, hint=hint)
