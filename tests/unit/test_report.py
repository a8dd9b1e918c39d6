"""What a run leaves behind: outputs, links, and a summary that nobody can write into."""

from __future__ import annotations

import json
import re

import pytest

from ci_deploy.report.outputs import OUTPUTS, EventReport, Report

JOINER = "\u2060"
HOSTILE = "a|b `c` <script>x</script> @everyone #1 [l](http://e) *b* _i_ \\ \n| x |\n# head"


def report(**more: object) -> Report:
    made = Report(command="deploy", status="succeeded", exit_code=0, app="web")
    for name, value in more.items():
        setattr(made, name, value)
    return made


def row(summary: str, name: str) -> str:
    """The value of a row of the table."""
    (line,) = [line for line in summary.splitlines() if line.startswith(f"| {name} | ")]
    return line.removeprefix(f"| {name} | ").removesuffix(" |")


def test_a_run_is_failed_until_its_end_says_otherwise() -> None:
    made = Report(command="deploy")
    assert (made.status, made.exit_code, made.finished) == ("failed", 1, False)


def test_outputs_are_one_line_each_and_all_there() -> None:
    found = report(changed=True, duration=1.26, environment=" a\n b ").outputs()
    assert list(found) == list(OUTPUTS)
    assert (found["changed"], found["duration"], found["environment"]) == ("true", "1.3", "a b")
    assert report().outputs()["changed"] == "false"


def test_json_is_plain_data() -> None:
    made = report(events=[EventReport("deploy", 1.0)], lines=("x",), warnings=["w"])
    assert json.loads(json.dumps(made.as_json()))["events"][0]["name"] == "deploy"


def test_links_leave_out_what_is_not_known() -> None:
    assert report().links == {}
    made = report(url="https://x", environment="staging", compare_url="https://c")
    assert made.links == {"web (staging)": "https://x", "Changes": "https://c"}


def test_summary_answers_what_is_live_now() -> None:
    made = report(live="web runs bbbbbbb", url="https://x", rollback="ci-deploy rollback")
    made.previous_revision, made.live_revision = "a" * 40, "b" * 40
    made.compare_url, made.environment = "https://c", "staging"
    made.events = [EventReport("deploy", 2.04)]
    text = made.summary()
    assert text.startswith("## ✅ deploy: web runs bbbbbbb\n")
    assert row(text, "Before → after") == "`aaaaaaa` → `bbbbbbb` ([compare](https://c))"
    assert row(text, "URL") == "https://x"
    assert row(text, "Roll back") == "`ci-deploy rollback`"
    assert row(text, "deploy") == "2.0"


@pytest.mark.parametrize("status", ["failed", "live-but-failed", "cancelled", "rolled-back"])
def test_summary_shows_what_is_not_good(status: str) -> None:
    assert report(status=status).summary().startswith("## ❌ ")


def test_summary_of_a_run_that_did_not_begin_has_a_heading_too() -> None:
    assert Report(command="", status="failed").summary().startswith("## ❌ failed\n")


@pytest.mark.parametrize("name", ["app", "environment", "actor", "live", "url"])
def test_foreign_text_has_no_power_in_the_summary(name: str) -> None:
    text = report(**{name: HOSTILE}).summary()
    assert "<script" not in text
    assert f"@{JOINER}everyone" in text
    assert f"#{JOINER}1" in text
    assert not re.search(r"(?<!\\)[\[\]*]", text)
    assert not re.search(r"(?m)^# head", text)
    lines = [line for line in text.splitlines() if "everyone" in line]
    assert len(lines) == 1
    cells = re.split(r"(?<!\\)\|", lines[0])
    assert len(cells) == (1 if name == "live" else 4)


def test_ordinary_urls_are_shown_as_they_are() -> None:
    url = "https://user_1.example.com:8443/a_b/?c=d&e=f"
    assert row(report(url=url).summary(), "URL") == url


@pytest.mark.parametrize("name", ["message", "hint", "warnings"])
@pytest.mark.parametrize("evil", ["```\n<script>", "````\n````\n# x", "`````````"])
def test_a_fence_is_longer_than_any_in_the_text(name: str, evil: str) -> None:
    value = [evil] if name == "warnings" else evil
    text = report(**{"message": "x", name: value}).summary()
    fences = re.findall(r"(?m)^(`{3,})$", text)
    outer = max(fences, key=len)
    assert outer not in evil.splitlines()
    inside = text.split(f"\n{outer}\n")
    assert len(inside) >= 3
    assert any(evil in part for part in inside[1::2])
