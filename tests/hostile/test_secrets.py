"""Every secret setting, in every form that docs/security.md names, split anywhere, into the log.

Random values of fixed seeds, and what Hypothesis finds. All else that a run writes and sends is in
test_sinks.py.
"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ci_deploy.output.encodings import SHORTEST
from ci_deploy.output.redaction import COMMON, Redactor
from ci_deploy.output.sanitizer import Sanitizer
from tests.hostile.tally import Kind, Record, tried
from tests.hostile.values import LETTERS, SECRETS, value
from tests.unit.test_redaction import PREFIXES, SPELLINGS, assert_safe, cut

ROUNDS = 20
EXAMPLES = FEW, MANY = 200, 10_000
# Secrets as Hypothesis makes them: anything that can be seen, tokens, and URLs with tokens.
SEEN = st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" ")
TOKENS = st.text(f"{LETTERS}+/=_-", min_size=16, max_size=90)
ANY = st.one_of(
    st.text(SEEN, min_size=6, max_size=60),
    st.text("0123456789:.-+TZ a\\", min_size=6, max_size=30),  # like times, versions, paths
    TOKENS,
    st.builds("https://bot:{}@chat.example.com/hooks/{}?key={}".format, TOKENS, TOKENS, TOKENS),
)


def test_every_secret_setting_is_tried() -> None:
    """A new one comes in by itself; these have been there."""
    assert {"SSH_PRIVATE_KEY", "HEROKU_API_KEY", "DOCKER_PASS", "SENTRY_AUTH_TOKEN"} <= {*SECRETS}


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(ROUNDS, marks=[pytest.mark.hostile, pytest.mark.timeout(1800)])]
)
def test_no_form_and_no_split_lets_a_secret_into_the_log(
    record_property: Record, rounds: int
) -> None:
    choose, count = random.Random(20261129), 0
    for name in SECRETS * rounds:
        secret = value(name, choose)
        redactor = Redactor()
        redactor.add(secret)
        for form, spell in SPELLINGS.items():
            printed = spell(secret)
            for pieces in (1, 2, choose.randint(3, 30)) if rounds > 1 else (choose.randint(1, 9),):
                count += 1
                before = "".join(choose.choices(LETTERS + "\n ", k=choose.randint(0, 200)))
                shown = list[str]()
                sanitizer = Sanitizer(redactor, shown.append)
                for chunk in cut(f"{before}\n{printed} after\n".encode(), choose, pieces):
                    sanitizer.feed(chunk)
                sanitizer.close()
                text = "\n".join(shown)
                assert "after" in text, (name, form)
                assert_safe(text.replace(before.strip(), ""), printed)
    tried(record_property, Kind.FORMS, count)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.hostile)])
def test_whatever_the_secret_the_form_and_the_cuts_it_is_hidden(
    record_property: Record, examples: int
) -> None:
    """Hypothesis looks for the shortest secret that is shown, the same ones in each run."""
    count = 0

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )  # fmt: skip
    @given(
        secret=ANY,
        form=st.sampled_from(list(SPELLINGS)),
        prefix=st.sampled_from(PREFIXES),
        cuts=st.sets(st.integers(0, 400), max_size=30),
    )
    def hidden(secret: str, form: str, prefix: str, cuts: set[int]) -> None:
        nonlocal count
        printed, redactor, shown = SPELLINGS[form](secret), Redactor(), list[str]()
        redactor.add(secret)
        assume(len(secret.strip().replace("\\", "")) >= SHORTEST)
        assume(not redactor.hides_as_word(secret))
        assume(secret.strip().lower() not in COMMON)
        assume(_safe(f"{prefix}[REDACTED] after", printed))
        data = f"{prefix}{printed} after\n".encode()
        edges = [0, *sorted(at for at in cuts if at < len(data)), len(data)]
        sanitizer = Sanitizer(redactor, shown.append)
        for low, high in pairwise(edges):
            sanitizer.feed(data[low:high])
        sanitizer.close()
        count += 1
        assert shown[-1].endswith(" after")
        assert_safe("\n".join(shown), printed.strip())

    hidden()
    tried(record_property, Kind.FOUND, count)


def _safe(text: str, printed: str) -> bool:
    """Whether it has no stretch of what is printed, by chance."""
    try:
        assert_safe(text, printed)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_no_way_around(code: str) -> None:
    """PowerShell writes it; docs/security.md says that it is caught."""
    redactor, shown = Redactor(), list[str]()
    redactor.add("xoxp-7Gq0Zt4WmB2kLr9VnY1cDf5HjS3a")
    sanitizer = Sanitizer(redactor, shown.append)
    sanitizer.feed("it is xoxp-7Gq0Zt4WmB2kLr9VnY1cDf5HjS3a.\n".encode(code))
    sanitizer.close()
    assert "[REDACTED]" in "".join(shown)
    assert "Zt4WmB2kLr9" not in "".join(shown)
