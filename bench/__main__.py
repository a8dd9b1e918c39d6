"""`make bench`: runs all measurements and writes docs/performance.md and its plot.

`python -m bench PART…` measures these parts anew and leaves the others as they are; `--quick` takes
five minutes instead of an hour, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import archives, compose, dokku, history, switch
from bench.plot import Bar, bars

PAGE = Path(__file__).parents[1] / "docs/performance.md"
PLOT = PAGE.parent / "pictures/performance.svg"
OURS = {"deploy", "no-op", "review"}
ROUNDS = {False: 7, True: 3}  # by whether it is the quick form
RELAY_GOAL, MEMORY_GOAL, START_GOAL = 3.0, 64.0, 5.0

HEAD = """# Performance

`make bench` writes this page: do not edit it. The ratios are of medians that were measured
alternately in one run, since machines are noisy; this one has {machine}.

"""
DOKKU = """## Deploying to Dokku

ci-deploy is compared with what people do without it, in the same run: a bare `git push` with a
pinned key; a typical script (host key fetched, key on disk, push) and its review script with five
connections; the steps of the official image in their order. Each remote command takes as long as on
a real server; build times are left out. Unlike the others, ci-deploy queries the server before the
push, and verifies the running release afterwards.

![Seconds of each way at a round trip of 100 ms](pictures/performance.svg)

"""


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def verdict(ratio: float, goal: float) -> str:
    """How a ratio stands to its goal."""
    return f"{ratio:.2f} (goal {goal:g}{'' if ratio <= goal else ', **missed**'})"


def deploys(*, quick: bool) -> str:
    """The tables of deploys; writes the plot."""
    times = ROUNDS[quick]
    found = {trip: dokku.measure(trip, times) for trip in dokku.ROUND_TRIPS}
    trips = [f"{trip * 1000:.0f} ms" for trip in found]
    rows = [
        [name, *(f"{found[trip][name]:.2f} s" for trip in found)]
        for name in found[dokku.ROUND_TRIPS[-1]]
    ]
    text = table(["", *trips], rows)
    last = found[dokku.ROUND_TRIPS[-1]]
    ratios = []
    for (ours, theirs), goal in dokku.GOALS.items():
        each = [f"{found[trip][ours] / found[trip][theirs]:.2f}" for trip in found]
        each[-1] = verdict(last[ours] / last[theirs], goal)
        ratios.append([f"{ours} / {theirs}", *each])
    text += table(["ratio", *trips], ratios)
    if not quick:
        plotted = [Bar(name, seconds, name in OURS) for name, seconds in last.items()]
        PLOT.write_text(bars(plotted), encoding="utf-8")
    return DOKKU + text


def hosts(*, quick: bool) -> str:
    """Docker Compose on a host."""
    found = compose.measure(ROUNDS[quick])
    text = "## Docker Compose on a host\n\nAt 100 ms, with a real Docker Engine.\n\n"
    text += table(["", "median"], [[name, f"{seconds:.2f} s"] for name, seconds in found.items()])
    ratios = [
        [f"{ours} / {theirs}", verdict(found[ours] / found[theirs], goal)]
        for (ours, theirs), goal in compose.GOALS.items()
    ]
    return text + table(["ratio", ""], ratios)


def images(*, quick: bool) -> str:
    """Images that come from the job before."""
    found = archives.measure(1 if quick else 3, archives.SIZE // 10 if quick else archives.SIZE)
    text = "## An image archive of which one layer has changed\n\n"
    text += (
        f"{found['MB of the archive']:.0f} MB, of which {archives.CHANGED / 1e6:.0f} MB is new; "
    )
    text += "the whole deploy, and `docker load` of the archive over ssh alone.\n\n"
    ratio = found["whole deploy"] / found["ssh docker load"]
    rows = [[name, f"{found[name]:.2f} s"] for name in ("whole deploy", "ssh docker load")]
    return text + table(["", "median"], [*rows, ["ratio", f"{ratio:.2f}"]])


def client(*, quick: bool) -> str:
    """What a client sees of a deploy."""
    return switch.section(1 if quick else switch.DEPLOYS)


def start_up(*, quick: bool) -> str:
    """How long commands take that do nothing."""
    start = dokku.start_up(2 if quick else 5)
    ratio = start["version --short"] / start["python -c pass"]
    rows = [[f"`{name}`", f"{seconds * 1000:.0f} ms"] for name, seconds in start.items()]
    text = "## Start\n\n" + table(["command", "median"], rows)
    return text + f"`version --short` / `python -c pass`: {verdict(ratio, START_GOAL)}.\n\n"


def growth(*, quick: bool) -> str:
    """Deploys of a long history."""
    sizes = history.SIZES[:1] if quick else history.SIZES
    grown = {size: history.measure(size) for size in sizes}
    text = "## As the history grows\n\n"
    text += "First deploy to an empty app, and one more commit, at 30 ms.\n\n"
    rows = [[f"{size:,}", *(f"{s:.2f} s" for s in found.values())] for size, found in grown.items()]
    return text + table(["commits", *grown[sizes[0]]], rows)


def resident(*, quick: bool) -> str:  # noqa: ARG001 - it takes a few seconds
    """Memory of a deploy's processes."""
    rows = [[name, f"{size:.0f} MB"] for name, size in history.memory().items()]
    text = "## Memory\n\nPeak resident memory during a whole deploy.\n\n"
    return text + table(["process", "resident"], rows)


def log(*, quick: bool) -> str:
    """Sanitizer and redactor."""
    megabytes = 20 if quick else 1000
    argv = [sys.executable, "-m", "bench.relay", "--megabytes", str(megabytes)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    relay = json.loads(done.stdout)
    text = "## Making a log safe\n\n"
    text += (
        f"{megabytes} MB of log lines, 20 secrets in all encodings ({relay['needles']} needles); "
    )
    text += "`grep -vFf` looks for the same needles in the same file.\n\n"
    ratio = relay["relay"] / relay["grep"]
    rows = [
        ["CPU of relay and redactor", f"{relay['relay']:.1f} s"],
        ["CPU of grep", f"{relay['grep']:.1f} s"],
        ["ratio", verdict(ratio, RELAY_GOAL)],
        ["resident", f"{relay['memory']:.0f} MB (goal {MEMORY_GOAL:g} MB)"],
    ]
    return text + table(["", ""], rows)


PARTS: Mapping[str, Callable[..., str]] = {
    "deploys": deploys,
    "hosts": hosts,
    "images": images,
    "client": client,
    "start": start_up,
    "history": growth,
    "memory": resident,
    "log": log,
}


def replaced(page: str, new: str) -> str:
    """The page with the section of the same title replaced. Raises ValueError for none."""
    title = new.partition("\n")[0]
    section = re.compile(rf"^{re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if not section.search(page):
        raise ValueError(f"{PAGE.name} has no section `{title}`: `make bench` writes it whole.")
    return section.sub(lambda _: new, page)


def main() -> None:
    """Measure all parts or the named ones, print them, and write them unless in the quick form."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three rounds; writes nothing")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    if unknown := {*options.parts} - {*PARTS}:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
    page = HEAD.format(machine=machine + platform.python_version())
    if options.parts:
        page = PAGE.read_text(encoding="utf-8") + "\n"
    for name in options.parts or PARTS:
        new = PARTS[name](quick=options.quick)
        print(new, flush=True)
        page = replaced(page, new) if options.parts else page + new
        if not options.quick and (options.parts or name == [*PARTS][-1]):
            PAGE.write_text(page.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
