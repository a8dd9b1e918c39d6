"""Names of review apps: valid and unique at any branch name, the same for every pipeline of it."""

from __future__ import annotations

import random
import re
import string
from typing import Any

import pytest

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Refused, SettingsError
from ci_deploy.run.review_app import (
    ReviewApp,
    ReviewSettings,
    app_name,
    guard_addresses,
    review_app,
    slug,
)

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def make(base: str = "hello", *, branch: str = "feature", **wanted: Any) -> ReviewApp:
    facts = CIContext(ref=branch, change="5")
    return review_app(base, ReviewSettings(**wanted), facts, limit=63)


def test_simple_branch_makes_a_simple_name() -> None:
    assert app_name("hello", "feature-x", 63) == "hello-feature-x"


def test_domain_keeps_its_place() -> None:
    assert app_name("hello.example.com", "feature-x", 63) == "hello-feature-x.example.com"


def test_names_are_valid_and_unique_at_any_branch_name() -> None:
    rng = random.Random(7)
    alphabet = string.ascii_letters + string.digits + "/-_.#é🚀 "
    branches = {"".join(rng.choices(alphabet, k=rng.randint(1, 90))) for _ in range(3000)}
    branches |= {
        "a/b",
        "a-b",
        "a_b",
        "A-B",
        "a--b",
        "-a-b",
        "a-b-",
        "é",
        "🚀",
        "x" * 300,
        "x" * 301,
    }
    for base in ("hello", "hello.example.com", "h" * 60):
        names = {branch: app_name(base, branch, 63) for branch in branches}
        assert len(set(names.values())) == len(names)
        for name in names.values():
            label = name.partition(".")[0]
            assert LABEL.fullmatch(label), name
            assert len(label) <= 63


def test_branch_that_looks_like_another_ones_name_does_not_get_its_app() -> None:
    taken = app_name("hello", "feature/x", 63)
    assert app_name("hello", taken.removeprefix("hello-"), 63) != taken


@pytest.mark.parametrize("limit", [30, 63])
def test_limit_of_the_provider_holds(limit: int) -> None:
    assert len(app_name("hello", "x" * 100, limit)) == limit


def test_slug() -> None:
    assert [slug(text) for text in ("A/b c", "--x--", "🚀")] == ["a-b-c", "x", "branch"]


def test_app_itself_is_never_its_review_app() -> None:
    with pytest.raises(SettingsError, match="REVIEW_APP_NAME: `hello` is the base app"):
        make(name="hello")


def test_job_without_a_branch_needs_a_name() -> None:
    with pytest.raises(SettingsError, match="this job has none"):
        make(branch="")
    assert make(branch="", name="hello-x").name == "hello-x"
    facts = CIContext(ref="v1", tag="v1")
    with pytest.raises(SettingsError, match="this job has none"):
        review_app("hello", ReviewSettings(), facts, limit=63)


def test_host_and_url() -> None:
    made = make(
        branch="Feature/X", domain="review.example.com", url="https://{app}.x/{branch}/{number}"
    )
    assert made.host == f"{made.name}.review.example.com"
    assert made.url(CIContext(change="5")) == f"https://{made.name}.x/feature-x/5"
    assert make().host == ""
    assert make().url(CIContext()) == ""


@pytest.mark.parametrize(
    "other",
    [
        "postgres://u:p@db.example.com/prod?sslmode=require",
        "postgres://u:p@db.example.com/prod/",
        "postgresql://u:p@db.example.com/prod",
        "postgres://another:q@DB.Example.com:5432/prod",
    ],
)
def test_address_of_the_same_database_in_other_words_is_the_same(other: str) -> None:
    """(faults C3)"""
    base = {"DATABASE_URL": "postgres://u:p@db.example.com/prod"}
    said = "OTHER of hello-feature would point to the same service as DATABASE_URL of hello"
    with pytest.raises(Refused, match=said):
        guard_addresses(make(), base, {"OTHER": other}, "")


@pytest.mark.parametrize(
    "other",
    ["postgres://u:p@db.example.com/review", "postgres://u:p@db.example.com:5433/prod", "prod"],
)
def test_another_database_is_another(other: str) -> None:
    """(faults C3)"""
    base = {"DATABASE_URL": "postgres://u:p@db.example.com/prod"}
    guard_addresses(make(), base, {"DATABASE_URL": other}, "")
