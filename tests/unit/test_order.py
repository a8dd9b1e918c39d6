"""What a revision that replaces another one is said to do; only what is known of them is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.run.order import Order, guard

NEW, LIVE = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("found", "warning"),
    [
        (Order.AFTER, []),
        (
            Order.UNKNOWN,
            ["aaaaaaa replaces bbbbbbb, which is live; the checkout lacks the history to compare"],
        ),
        (
            Order.DIVERGED,
            [
                (
                    "aaaaaaa replaces bbbbbbb, which is live, but does not contain it: commits "
                    "that only "
                    "bbbbbbb has are no longer deployed"
                )
            ],
        ),
    ],
)
def test_forced_push_says_what_is_lost_only_where_it_is_known(
    found: Order, warning: list[str]
) -> None:
    warned: list[str] = []
    ctx: Any = SimpleNamespace(
        revision=NEW,
        settings=SimpleNamespace(refuse_outdated=False),
        console=SimpleNamespace(warning=warned.append),
    )
    guard(ctx, LIVE, found, force=True, overwrites=True)
    assert len(warned) == len(warning)
    assert all(text.startswith(each) for text, each in zip(warned, warning, strict=True))
