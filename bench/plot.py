"""Bars as a picture."""

from __future__ import annotations

import html
from dataclasses import dataclass

OURS, THEIRS, INK = "#2f81f7", "#9aa4af", "#57606a"
LEFT, WIDTH, STEP = 200, 760, 30  # pixels


@dataclass(frozen=True)
class Bar:
    """One bar."""

    name: str
    seconds: float
    ours: bool


def bars(found: list[Bar]) -> str:
    """An SVG with one bar below the other; ours in blue."""
    scale = (WIDTH - LEFT - 90) / max(bar.seconds for bar in found)
    height = len(found) * STEP + 20
    font = "-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{font}" font-size="14">',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff"/>',
    ]
    for at, bar in enumerate(found):
        y, length = 12 + at * STEP, round(bar.seconds * scale)
        name = html.escape(bar.name, quote=False)
        label = f'x="{LEFT - 10}" y="{y + 16}" text-anchor="end" fill="{INK}"'
        weight = ' font-weight="700"' if bar.ours else ""
        box = f'x="{LEFT}" y="{y}" width="{length}" height="{STEP - 8}" rx="3"'
        value = f'x="{LEFT + length + 8}" y="{y + 16}" fill="{INK}"'
        parts += [
            f"<text {label}{weight}>{name}</text>",
            f'<rect {box} fill="{OURS if bar.ours else THEIRS}"/>',
            f"<text {value}>{bar.seconds:.2f} s</text>",
        ]
    return "\n".join([*parts, "</svg>\n"])
