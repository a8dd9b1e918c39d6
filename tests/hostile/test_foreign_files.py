"""An app's Procfile and app.json are not ours: the machine of the job executes nothing of them, and
no CI platform obeys them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for
from tests.hostile.platforms import platforms
from tests.hostile.tally import Kind, Record

RUNS = "worker: sleep 600\n"
EVIL = "https://evil.example.com"
COMMANDS = (
    f"::set-output name=url::{EVIL}", "::error::not ours", "::add-mask::hello",
    "::stop-commands::x", f"##vso[task.setvariable variable=x]{EVIL}",
    "##[set-output name=status]succeeded",
    "\x1b[0Ksection_start:1700000000:fake[collapsed=true]\r\x1b[0Kfolded away",
    "\x1b]0;a title\x07", "\x1b[2J\x1b[1;1Hcleared", "DEPLOYED_URL=" + EVIL,
)  # fmt: skip
SHELL = ("$(touch {0})", "`touch {0}`", "; touch {0};", "| touch {0}", "' ; touch {0} #", "-x")


def _procfiles() -> dict[str, str]:
    names = "".join(f"{each}: sleep 600\n" for each in (*SHELL, *COMMANDS))
    said = "\\n".join(each.replace("\x1b", "\\033") for each in COMMANDS)
    return {
        "names of commands": names + RUNS,
        "an unknown command": f"release: {COMMANDS[0]}\n" + RUNS,
        "what a command says": f"release: printf '{said}\\n'\n" + RUNS,
        "a very long name": "x" * 1_000_000 + ": sleep 600\n" + RUNS,
        "a very long command": f"release: true {'x' * 100_000}\n" + RUNS,
        "many lines": RUNS + "".join(f"w{number}: sleep 1\n" for number in range(200)),
        "no colon, no end": f"{RUNS}release\n\0\x1b[2J",
        "twice": f"release: true\nrelease: ::error::twice\n{RUNS}",
        "a byte order mark": f"\ufeffrelease: true\n{RUNS}",
    }


def _app_jsons() -> dict[str, str]:
    texts = [*SHELL, *COMMANDS]
    odd = {"wrong types": [5, True, "x", [[]], None, {"a": []}]}
    found = {
        "add-ons": json.dumps({"addons": [*texts, {"plan": COMMANDS[0]}]}),
        "names of scripts": json.dumps({"scripts": {"dokku": dict.fromkeys(texts, "true")}}),
        "names of variables": json.dumps({"env": {key: {"required": False} for key in texts}}),
        "a name and a description": json.dumps({"name": COMMANDS[0], "description": COMMANDS[6]}),
        "no JSON": COMMANDS[0] + "\n" + COMMANDS[6],
        "very deep": "[" * 100_000,
        "very long": json.dumps({"addons": ["x" * 1_000_000]}),
        "a number that is none": '{"addons": 1e999}',
    }
    for name in ("addons", "scripts", "env", "formation", "environments"):
        for number, value in enumerate(odd["wrong types"]):
            found[f"{name}, type {number}"] = json.dumps({name: value})
    return found


CASES = {f"Procfile: {name}": {"Procfile": text} for name, text in _procfiles().items()}
CASES |= {
    f"app.json: {name}": {"Procfile": RUNS, "app.json": text} for name, text in _app_jsons().items()
}
FEW = ("Procfile: names of commands", "app.json: add-ons", "app.json: addons, type 0")
PLATFORMS = ("GitHub", "GitLab", "CircleCI")


@pytest.mark.unknown("")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("GitLab", False),
        *(pytest.param(name, False, marks=pytest.mark.hostile) for name in ("GitHub", "CircleCI")),
        *(pytest.param(name, True, marks=pytest.mark.hostile) for name in PLATFORMS),
    ],
)
def test_foreign_files_have_no_effect_on_the_job(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, name: str,
    every: bool,
) -> None:  # fmt: skip
    """A few on each platform; of all of them, a third on each."""
    pwned, aside, lost = tmp_path / "pwned", tmp_path / "aside", list[str]()
    aside.mkdir()
    cases = list(CASES)[PLATFORMS.index(name) :: len(PLATFORMS)] if every else FEW
    for number, case in enumerate(cases):
        files = {path: text.replace("{0}", str(pwned)) for path, text in CASES[case].items()}
        checkout.commit(f"{case} {COMMANDS[number % len(COMMANDS)]}", {"app.json": "", **files})
        platform = platforms(checkout.path, aside)[name]
        (aside / "GITHUB_OUTPUT").write_text("")
        env = {**settings_for(dokku), **platform.env, "FORCE_PUSH": "true"}
        done = run("deploy", cwd=checkout.path, env=env)
        wrong = platform.wrong(done)
        if done.code not in {0, 2, 20} or "a bug in ci-deploy" in done.output + done.errors:
            wrong.append(f"exit code {done.code}")
        if done.code == 0 and dokku.app("hello").running_revision != checkout.head:
            wrong.append("0, but it is not there")
        if pwned.exists() or [*checkout.path.rglob("pwned")]:
            wrong.append("it was executed")
            pwned.unlink(missing_ok=True)
        lost += [f"{case}: {each}\n{done.output}{done.errors}" for each in wrong]
    record_property("hostile", [Kind.INJECTION.name, len(cases), len(lost)])
    assert not lost, "\n\n".join(lost)
