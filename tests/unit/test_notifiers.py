"""What each service is sent: its form, its limits, and nothing that a commit message could do."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.layers.notifiers import slack
from ci_deploy.layers.notifiers.email import Email, EmailSettings, addresses, sender
from ci_deploy.layers.notifiers.mattermost import Mattermost, MattermostSettings
from ci_deploy.layers.notifiers.slack import Slack, SlackSettings, escape
from ci_deploy.layers.notifiers.webhook import Webhook, WebhookSettings, signature
from ci_deploy.net.http import Response
from ci_deploy.net.mail_server import mail_server
from ci_deploy.run.notifications import BAD, COLOURS, GOOD, Notice, last

CTX: Any = SimpleNamespace()
CHANGE = "aaaaaaa → bbbbbbb"
NOTICE = Notice(
    mood=GOOD,
    title="web (staging): deployed bbbbbbb",
    fields=(
        ("Revision", f"{CHANGE} Say hello"),
        ("By", "jane"),
        ("URL", "https://web.example.com/a_b"),
    ),
    url="https://ci.example.com/jobs/7?a=1&b=2",
    compare_url="https://git.example.com/acme/web/compare/a...b",
    change=CHANGE,
    facts={"event": "deploy_succeeded", "status": "succeeded"},
)
EVIL = NOTICE._replace(
    mood=BAD,
    fields=(("Revision", f"{CHANGE} <b>x</b> & [x](http://evil) ![i](y) *b* _c_ `d` | <!here>"),),
    lines=("</pre><script>", "```", "<@U1> & co"),
)
HUGE = NOTICE._replace(
    title="t" * 500,
    fields=tuple((f"Field {number}", "&" * 5000) for number in range(9)),
    lines=tuple("<" * 300 for _ in range(10)),
)


def mattermost(channel: str = "") -> Mattermost:
    return Mattermost(CTX, MattermostSettings(webhook_url="https://x/y", channel=channel))


def slack_layer() -> Slack:
    return Slack(CTX, SlackSettings(webhook_url="https://x/y"))


def email() -> Email:
    return Email(CTX, EmailSettings(sender="ci@example.com", to=("a@example.com",)))


def webhook(secret: str = "") -> Webhook:
    return Webhook(CTX, WebhookSettings(url="https://x/y", secret=secret))


# --- Mattermost ---


def test_mattermost_gets_colour_links_and_fields() -> None:
    payload = mattermost("#deploys").payload(NOTICE)
    [attachment] = payload["attachments"]
    assert payload["channel"] == "deploys"
    assert attachment["color"] == COLOURS[GOOD]
    assert attachment["title_link"] == NOTICE.url
    assert attachment["fallback"] == NOTICE.title
    assert attachment["fields"][0] == {
        "title": "Revision",
        "value": f"[{CHANGE}]({NOTICE.compare_url}) Say hello",
        "short": True,
    }
    assert attachment["fields"][2]["value"] == "https://web.example.com/a_b"
    assert "channel" not in mattermost().payload(NOTICE)


def test_mattermost_makes_nothing_of_a_commit_message() -> None:
    [attachment] = mattermost().payload(EVIL)["attachments"]
    value = attachment["fields"][0]["value"].removeprefix(f"[{CHANGE}]({NOTICE.compare_url})")
    assert not re.search(r"(?<!\\)[*_`\[\]<>|~]", value)
    assert all(line.startswith("    ") for line in attachment["text"].splitlines())


def test_mattermost_gets_no_more_than_it_takes() -> None:
    payload = mattermost().payload(HUGE)
    assert len(json.dumps(payload, ensure_ascii=False)) < 8000
    assert payload["attachments"][0]["fields"][0]["value"].endswith("…")


# --- Slack ---


LONG = NOTICE._replace(lines=(*(f"{at} {'<' * 290}" for at in range(9)), "the reason <here>"))


def test_of_too_many_lines_the_last_ones_are_told() -> None:
    """What went wrong stands at the end."""
    [attachment] = mattermost().payload(LONG)["attachments"]
    slack_text = slack_layer().payload(LONG)["attachments"][0]["blocks"][-1]["text"]["text"]
    assert attachment["text"].endswith("    the reason <here>")
    assert attachment["text"].startswith("    …\n    ")
    assert len(attachment["text"]) <= 2000
    assert slack_text.endswith("the reason &lt;here&gt;```")
    assert slack_text.startswith("```…\n")
    assert len(slack_text) <= 3000


@pytest.mark.parametrize(
    ("lines", "limit", "shown"),
    [
        (["one", "two"], 7, "one\ntwo"),
        (["one", "two"], 6, "…\ntwo"),
        (["a long line"], 6, "…line"),
        ([], 6, ""),
    ],
)
def test_last_lines(lines: list[str], limit: int, shown: str) -> None:
    assert last(lines, limit) == shown
    assert len(shown) <= limit


def test_mattermost_shows_a_title_that_is_a_link_as_it_is() -> None:
    named = NOTICE._replace(title="my_app (a*b)")
    [linked] = mattermost().payload(named)["attachments"]
    [plain] = mattermost().payload(named._replace(url=""))["attachments"]
    assert (linked["title"], plain["title"]) == ("my_app (a*b)", r"my\_app (a\*b)")


def test_slack_gets_the_title_as_text_and_the_facts_as_coloured_blocks() -> None:
    payload = slack_layer().payload(NOTICE)
    assert payload["text"] == (
        "*<https://ci.example.com/jobs/7?a=1&amp;b=2|web (staging): deployed bbbbbbb>*"
    )
    [attachment] = payload["attachments"]
    assert attachment["color"] == COLOURS[GOOD]
    [section] = attachment["blocks"]
    texts = [field["text"] for field in section["fields"]]
    assert texts == [
        f"*Revision*\n<{NOTICE.compare_url}|{CHANGE}> Say hello",
        "*By*\njane",
        "*URL*\nhttps://web.example.com/a_b",
    ]


def test_slack_makes_no_mention_or_link_of_a_commit_message() -> None:
    text = json.dumps(slack_layer().payload(EVIL))
    links = re.findall(r"<[^>]*>", text)
    assert all(link.startswith("<https://") for link in links)
    assert "&lt;!here&gt;" in text
    fence = slack_layer().payload(EVIL)["attachments"][0]["blocks"][1]["text"]["text"]
    assert fence.count("```") == 2


def test_slack_gets_no_more_than_it_takes_and_no_half_entity() -> None:
    payload = slack_layer().payload(HUGE)
    for block in payload["attachments"][0]["blocks"]:
        assert len(block.get("fields", [])) <= 10
        for text in [*block.get("fields", []), *([block["text"]] if "text" in block else [])]:
            assert len(text["text"]) <= (3000 if "fields" not in block else 2000)
            assert not re.search(r"&(?!amp;|lt;|gt;)", text["text"])


@pytest.mark.parametrize("limit", range(3, 12))
def test_an_entity_is_cut_whole(limit: int) -> None:
    cut = escape("a&b&c&d", limit)
    assert len(cut) <= limit
    assert re.fullmatch(r"(\w|&amp;)*…", cut)


def test_slacks_200_with_ok_false_is_a_refusal() -> None:
    refusal = slack._refusal
    assert refusal(Response(200, b'{"ok":false,"error":"channel_not_found"}')).endswith("not_found")
    assert refusal(Response(200, b"ok")) == ""
    assert refusal(Response(200, b'{"ok":true}')) == ""


# --- e-mail ---


def test_mail_has_text_and_html_with_the_same_facts() -> None:
    message = email().message(NOTICE)
    text, page = (part.get_content() for part in message.iter_parts())
    assert message["Subject"] == NOTICE.title
    assert message["Auto-Submitted"] == "auto-generated"
    for name, value in NOTICE.fields:
        assert f"{name}: {value}" in text
        assert name in page
    assert f"Changes: {NOTICE.compare_url}" in text
    assert f'<a href="{NOTICE.compare_url}">{CHANGE}</a> Say hello' in page
    assert COLOURS[GOOD] in page


def test_closing_mail_is_an_answer_to_the_first() -> None:
    layer = email()
    first, second = layer.message(NOTICE), layer.message(NOTICE)
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert second["Message-ID"] != first["Message-ID"]


def test_html_is_made_of_our_tags_only() -> None:
    page = email().html(EVIL)
    assert set(re.findall(r"<(\w+)", page)) == {"div", "b", "a", "table", "tr", "td", "pre"}
    assert "&lt;script&gt;" in page


def test_subject_is_one_short_line_whatever_the_names_are() -> None:
    message = email().message(NOTICE._replace(title="a\r\nBcc: x@example.com\n" + "é" * 300))
    assert message["Subject"].startswith("a Bcc: x@example.com")
    assert message["Bcc"] is None
    assert len(str(message["Subject"])) <= 200


@pytest.mark.parametrize("text", ["x", "a@b@c", "a@b, ", "Jane <jane>", "a b@c\n"])
def test_wrong_sender_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid e-mail address"):
        sender(text)


def test_addresses_are_a_list() -> None:
    assert addresses("a@b.example, c@d.example\ne@f.example") == (
        "a@b.example",
        "c@d.example",
        "e@f.example",
    )
    with pytest.raises(ValueError, match="`nobody` is not a valid e-mail address"):
        addresses("a@b.example nobody")
    assert sender("CI <ci@example.com>") == "CI <ci@example.com>"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("smtp", "mail.example.com", 587, "", "")),
        ("smtps://u:p%40%2F@h:1465/", ("smtps", "h", 1465, "u", "p@/")),
        ("smtp://jane%40example.com:x@h:25", ("smtp", "h", 25, "jane@example.com", "x")),
    ],
)
def test_mail_servers_are_read(url: str, expected: tuple[str | int, ...]) -> None:
    found = mail_server(url)
    assert (found.scheme, found.host, found.port, found.user, found.password) == expected
    assert "p@/" not in repr(found)


@pytest.mark.parametrize("url", ["mail.example.com", "http://x", "smtp://", "smtp://u:a/b@h"])
def test_wrong_mail_servers_are_refused_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="this is not `smtp://") as caught:
        mail_server(url)
    assert "a/b" not in str(caught.value)


# --- webhook ---


def test_webhook_is_signed_over_time_and_body() -> None:
    headers = webhook("hush").headers(NOTICE, b"{}", "1700000000")
    assert headers["X-CI-Deploy-Signature"] == signature("hush", "1700000000", b"{}")
    assert headers["X-CI-Deploy-Signature"] != signature("hush", "1700000001", b"{}")
    assert headers["X-CI-Deploy-Event"] == "deploy_succeeded"
    assert "X-CI-Deploy-Signature" not in webhook().headers(NOTICE, b"{}", "1700000000")


@pytest.mark.parametrize("layer", [mattermost(), slack_layer(), email(), webhook("hush")])
def test_preview_shows_what_is_sent_without_markup(layer: Any) -> None:
    shown = layer.preview(EVIL)
    assert EVIL.title in shown
    if not isinstance(layer, Webhook):
        assert "<b>x</b> & [x](http://evil)" in shown
        assert NOTICE.compare_url in shown
