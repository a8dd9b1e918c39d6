"""Records every external change, in words. When planning, changes are recorded and not made."""

from __future__ import annotations

from collections.abc import Callable


class ChangeLog:
    """Announces each change outside this process before it is made, for the runner and for HTTP."""

    def __init__(
        self,
        show: Callable[[str], None],
        *,
        check: Callable[[], None] = lambda: None,
        planning: bool = False,
    ) -> None:
        """`check` raises Cancelled when the user has cancelled: no change is begun then."""
        self.planning = planning
        self._check = check
        self.changes: list[str] = []
        self._show = show

    def announce(self, what: str) -> bool:
        """Record and show a change; returns whether to make it now (False when planning).

        An empty text is a part of a change that was already announced. Raises Cancelled.
        """
        self._check()
        if what:
            self.changes.append(what)
            self._show(what)
        return not self.planning
