"""Records every external change, in words. When planning, changes are recorded and not made."""

from __future__ import annotations

from collections.abc import Callable


class ChangeLog:
    """Every change outside this process is announced here first, by the runner or by HTTP."""

    def __init__(
        self,
        show: Callable[[str], None],
        *,
        check: Callable[[], None] = lambda: None,
        planning: bool = False,
    ) -> None:
        """`check` raises Cancelled when the user has cancelled: then no change is begun."""
        self.planning = planning
        self._check = check
        self.changes: list[str] = []
        self._show = show

    def announce(self, what: str) -> bool:
        """Note a change; tells whether it is to be made now (not when planning).

        One without words is part of a change that was announced before. Raises Cancelled.
        """
        self._check()
        if what:
            self.changes.append(what)
            self._show(what)
        return not self.planning
