"""Draws the notices in docs/pictures/*.svg as each service shows them, from real payloads.

`python tooling/pictures.py` writes them; a test fails when they differ from what is sent.
"""

from __future__ import annotations

import html
import re
import sys
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ci_deploy.ci.base import CIContext
from ci_deploy.layers.notifiers.email import Email, EmailSettings
from ci_deploy.layers.notifiers.mattermost import Mattermost, MattermostSettings
from ci_deploy.layers.notifiers.slack import Slack, SlackSettings
from ci_deploy.report.outputs import Report
from ci_deploy.run.events import Event
from ci_deploy.run.notifications import Notice, notice
from ci_deploy.state import Live

FOLDER = Path(__file__).parents[1] / "docs/pictures"
WIDTH, LEFT, LINE = 760, 76, 21
FONT = "-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"
LINK, INK, PALE = "#1c58d9", "#1d1c1d", "#616061"

Words = list[tuple[str, bool]]  # text, and whether it is a link


@dataclass
class Card:
    """The parts of a notice to draw, for any service."""

    head: str  # the sender
    colour: str  # of the bar beside it
    title: Words
    rows: list[tuple[str, Words, bool]] = field(default_factory=list)  # name, value, short
    lines: list[str] = field(default_factory=list)
    title_above: bool = False  # above the bar instead of beside it


# --- what is sent ---


def notices() -> list[Notice]:
    """The notices about a start, a success and a failure, made as in a run."""
    made = []
    for event, status in (
        (Event.PRE_DEPLOY, "failed"),
        (Event.DEPLOY_SUCCEEDED, "succeeded"),
        (Event.DEPLOY_FAILED, "failed"),
    ):
        report = Report(command="deploy", status=status)
        report.live = "shop runs 9f8e7d6."
        if event is Event.DEPLOY_FAILED:
            report.live = "shop still runs db4b44b."
            report.failed_event, report.failed_layer = "deploy", "dokku"
            report.message = "the release task failed: bin/rails db:migrate"
            report.hint = "The old release keeps serving."
            report.lines = (
                "== 20261120090000 AddPriceToItems: migrating ==",
                "-- add_column(:items, :price, :integer, {:null=>false})",
                'PG::NotNullViolation: column "price" contains null values',
            )
        made.append(notice(_run(report), event))
    return made


def _run(report: Report) -> Any:
    facts = CIContext(
        ref="main",
        actor="jane",
        job_url="https://gitlab.example.com/acme/shop/-/jobs/7",
        project_url="https://gitlab.example.com/acme/shop",
        compare_path="/-/compare/",
    )
    return SimpleNamespace(
        report=report,
        facts=facts,
        app="shop",
        environment="production",
        revision="9f8e7d6" + "0" * 33,
        title="Items have a price",
        before=Live("db4b44b" + "0" * 33),
        url="https://shop.example.com",
        started=time.monotonic() - 42,
    )


def mattermost(told: Notice) -> Card:
    """The card for a notice, made from the payload for Mattermost."""
    layer = Mattermost(SimpleNamespace(), MattermostSettings(webhook_url="x"))  # type: ignore[arg-type]
    payload = layer.payload(told)
    [attachment] = payload["attachments"]
    rows = [
        (each["title"], _markdown(each["value"]), each["short"]) for each in attachment["fields"]
    ]
    lines = [line[4:] for line in attachment["text"].splitlines()]
    title = [(attachment["title"], True)]
    return Card(f"{payload['username']}  BOT", attachment["color"], title, rows, lines)


def slack(told: Notice) -> Card:
    """The card for a notice, made from the payload for Slack."""
    payload = Slack(SimpleNamespace(), SlackSettings(webhook_url="x")).payload(told)  # type: ignore[arg-type]
    [attachment] = payload["attachments"]
    card = Card("ci-deploy  APP", attachment["color"], _mrkdwn(payload["text"]), title_above=True)
    for block in attachment["blocks"]:
        for text in block.get("fields", []):
            name, _, value = text["text"].partition("\n")
            card.rows.append((name.strip("*"), _mrkdwn(value), True))
        if "text" in block:
            card.lines = html.unescape(block["text"]["text"].strip("`")).splitlines()
    return card


def email(told: Notice) -> Card:
    """The card for a notice, made from the HTML part of the mail."""
    layer = Email(SimpleNamespace(), EmailSettings(sender="deploys@example.com", to=("a@b.c",)))  # type: ignore[arg-type]
    page = _Page()
    page.feed(layer.html(told))
    head = f"{layer.settings.sender}  ·  {layer.message(told)['Subject']}"
    rows = [(page.cells[i][0][0], page.cells[i + 1], False) for i in range(0, len(page.cells), 2)]
    return Card(head, page.colour, page.title, rows, page.lines)


class _Page(HTMLParser):
    """Reads our own HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.lines = "", list[str]()
        self.title, self.cells = Words(), list[Words]()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div":
            self.colour = re.findall(r"solid (#\w+)", dict(attrs).get("style") or "")[0]
        if tag == "td":
            self.cells.append([])
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._open.pop()

    def handle_data(self, data: str) -> None:
        word = (data, "a" in self._open)
        if "pre" in self._open:
            self.lines += data.splitlines()
        elif "td" in self._open:
            self.cells[-1].append(word)
        elif "b" in self._open:
            self.title.append(word)


def _markdown(text: str) -> Words:
    found = re.fullmatch(r"\[(.*?)\]\(\S+?\)(.*)", text)
    words = [(found[1], True), (found[2], False)] if found else [(text, text.startswith("http"))]
    return [(re.sub(r"\\(\W)", r"\1", part), link) for part, link in words]


def _mrkdwn(text: str) -> Words:
    words = []
    for link, shown, plain in re.findall(r"<([^|>]+)\|([^>]*)>|([^<]+)", text.strip("*")):
        words.append((html.unescape(shown or plain), bool(link) or plain.startswith("http")))
    return words


# --- how it looks ---


def svg(cards: list[Card]) -> str:
    """An SVG picture of all cards, one below the other."""
    parts, y = list[str](), 16
    for card in cards:
        drawn, y = _draw(card, y)
        parts += drawn
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="14">',
            f'<rect width="{WIDTH}" height="{y}" rx="8" fill="#fff" stroke="#d7d7d7"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _draw(card: Card, y: int) -> tuple[list[str], int]:
    out = [
        f'<rect x="20" y="{y}" width="36" height="36" rx="6" fill="#2f3b4a"/>',
        f'<path d="M38 {y + 9}l9 10h-6v8h-6v-8h-6z" fill="#fff"/>',
        _text(LEFT, y + 14, [(card.head, False)], weight=700),
    ]
    y += 20
    if card.title_above:
        out.append(_text(LEFT, y + 16, card.title, weight=700))
        y += LINE + 4
    top, y = y + 4, y + 6
    if not card.title_above:
        out.append(_text(LEFT + 16, y + 16, card.title, weight=700))
        y += LINE + 6
    out, y = _rows(card, out, y)
    if card.lines:
        height = len(card.lines) * 18 + 12
        box = f'x="{LEFT + 16}" y="{y + 2}" width="{WIDTH - LEFT - 40}" height="{height}"'
        out.append(f'<rect {box} rx="4" fill="#f4f4f5" stroke="#e3e3e5"/>')
        for number, line in enumerate(card.lines):
            out.append(_text(LEFT + 26, y + 20 + number * 18, [(line, False)], mono=True))
        y += height + 8
    out.append(f'<rect x="{LEFT}" y="{top}" width="4" height="{y - top}" fill="{card.colour}"/>')
    return out, y + 22


def _rows(card: Card, out: list[str], y: int) -> tuple[list[str], int]:
    """Names above values, two columns where a value is short; an e-mail's are a table."""
    column = 0
    for name, value, short in card.rows:
        if "@" in card.head:
            out.append(_text(LEFT + 16, y + 15, [(name, False)], colour=PALE))
            out.append(_text(LEFT + 110, y + 15, value))
            y += LINE
            continue
        if column == 1 and not short:
            column, y = 0, y + 2 * LINE
        x = LEFT + 16 + column * 330
        out.append(_text(x, y + 14, [(name, False)], weight=700, size=13))
        out.append(_text(x, y + 14 + 18, value))
        column = (column + 1) % 2 if short else 0
        y += 0 if column else 2 * LINE
    return out, y + (2 * LINE if column else 0)


def _text(
    x: int,
    y: int,
    words: Words,
    *,
    weight: int = 400,
    size: int = 14,
    colour: str = INK,
    mono: bool = False,
) -> str:
    spans = "".join(
        f'<tspan fill="{LINK}">{html.escape(text)}</tspan>' if link else html.escape(text)
        for text, link in words
    )
    font = f' font-family="{MONO}" font-size="12.5"' if mono else f' font-size="{size}"'
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return f'<text x="{x}" y="{y}" fill="{colour}"{font}{bold} xml:space="preserve">{spans}</text>'


def generate() -> dict[Path, str]:
    """All pictures: path → SVG."""
    told = notices()
    return {
        FOLDER / f"{draw.__name__}.svg": svg([draw(each) for each in told])
        for draw in (mattermost, slack, email)
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, picture in generate().items():
        path.write_text(picture, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
