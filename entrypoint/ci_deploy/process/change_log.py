"""Records every change outside this process, in words. `plan` records changes without making
them."""

from __future__ import annotations

from collections.abc import Callable


class ChangeLog:
    """Announces each change outside this process before the runner or HTTP makes it; one object per
    run. `changes` are the announced texts so far; when `planning`, none of them is made."""

    def __init__(
        self,
        show: Callable[[str], None],
        *,
        check: Callable[[], None] = lambda: None,
        planning: bool = False,
    ) -> None:
        """`show` logs the text of a change. `check` raises Cancelled if the run is cancelled: no
        change is begun then."""
        self.planning = planning
        self._check = check
        self.changes: list[str] = []
        self._show = show

    def announce(self, what: str) -> bool:
        """Record and show the change `what`; returns whether to make it (False when planning).

        An empty text, for a part of a change that was announced before, is not recorded. Raises
        Cancelled.
        """
        self._check()
        if what:
            self.changes.append(what)
            self._show(what)
        return not self.planning
