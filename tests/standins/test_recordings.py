"""The stand-in answers what parsing depends on as a real Dokku was recorded to answer (faults K).

Compared are exit codes, streams, the keys that are read, the form of their values, and the order of
the words by which a deploy is followed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ci_deploy.layers.providers.dokku import answers, processes
from ci_deploy.process.program import Result
from standins.dokku.client import Client, new_repo
from standins.dokku.server import DokkuStandIn
from standins.support import ROOT, until

RECORDED = ROOT / "standins/recorded"
QUICK = {"Procfile": "worker: sleep 600\n"}
WEB = {
    "Dockerfile": "FROM scratch\n",
    "Procfile": "web: exec python3 -m http.server $PORT --bind 127.0.0.1\n",
}
READ = {  # the heading of a report → the keys that are read
    "app": {"App created at", "App deploy source", "App deploy source metadata", "App locked"},
    "git": {"Git deploy branch", "Git last updated at", "Git sha"},
    "ps": {"Deployed", "Processes", "Running", "Status web 1"},
    "ssl": {"Ssl enabled"},
    "domains": {"Domains app vhosts"},
    "builder": {"Builder build dir"},
}
FORMS = {  # how values are compared
    r"[0-9a-f]{40}": "<commit>",
    r"\(CID: [0-9a-f]{11}\)": "<container>",
    r"https?://\S+": "<address>",
    r"\d{10}": "<time>",
    r"[\w.-]+\.(dokku\.test|example\.com)": "<host>",
}


class Answer(NamedTuple):
    """What came of a command."""

    out: tuple[str, ...]
    err: tuple[str, ...]
    code: int


def _commands() -> list[tuple[str, Answer]]:
    found = []
    for part in re.split(r"(?m)^\$ ", (RECORDED / "commands.txt").read_text())[1:]:
        command, *lines = part.splitlines()
        out = tuple(line[6:] for line in lines if line.startswith("  out|"))
        err = tuple(line[6:] for line in lines if line.startswith("  err|"))
        found.append((command, Answer(out, err, int(lines[-1].partition("=")[2]))))
    return found


def _deploys() -> dict[str, list[str]]:
    parts = re.split(r"(?m)^### (.*)\n", (RECORDED / "deploys.txt").read_text())[1:]
    return {name: text.splitlines() for name, text in zip(parts[::2], parts[1::2], strict=True)}


COMMANDS, DEPLOYS = _commands(), _deploys()


def form(text: str) -> str:
    for pattern, name in FORMS.items():
        text = re.sub(rf"^{pattern}$|(?<= ){pattern}(?= |$)", name, text)
    return text.rstrip()


def read(answer: Answer) -> object:
    """Of a failed deploy its reason, of a report the keys that are read, of a list in JSON the keys
    of its entries, else all lines."""
    heading = re.match(r"=====> \S+ (\w+) information", answer.out[0]) if answer.out else None
    if heading:
        pairs = (line.partition(":") for line in answer.out[1:])
        values = {key.strip(): form(value.strip()) for key, _, value in pairs}
        return {key: value for key, value in values.items() if key in READ[heading[1]]}
    if (why := answers.reason([*answer.out, *answer.err]))[0]:
        return list(why)
    if answer.out and answer.out[0].startswith("[{"):
        first = answer.out[0].partition("}")[0]
        return sorted(re.findall(r'"(\w+)":', first))
    return [form(line) for line in answer.out if line], [form(line) for line in answer.err if line]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DokkuStandIn]:
    """The apps of the recording: deployed, crashed, of an image, with a broken config."""
    state = tmp_path_factory.mktemp("dokku")
    with DokkuStandIn(state, delay=0.0, checks_wait=0.0, plugins=[]) as standin:
        yield standin


@pytest.fixture(scope="module")
def client(server: DokkuStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server, tmp_path_factory.mktemp("home"))
    folder = tmp_path_factory.mktemp("apps")
    client.dokku("domains:set-global dokku.test")
    for app in ("hello", "f1", "c3"):
        client.dokku(f"apps:create {app}")
    client.dokku("config:set --no-restart --encoded c3 A=c2F5ICJoaSI=")
    client.dokku("config:set --no-restart --encoded c3 B=Y1w=")
    for app in ("hello", "f1", "c3"):
        client.push(new_repo(client, folder / app, WEB), app, "main:master")
    server.app("f1").crash("web.1", "exited")
    image = folder / "image"
    image.mkdir()
    for name, text in WEB.items():
        (image / name).write_text(text)
    server.image("localhost:5099/i:2", image)
    client.dokku("apps:create i1")
    client.dokku("checks:disable i1")
    client.dokku("git:from-image i1 localhost:5099/i:2")
    yield client
    client.close()


@pytest.fixture(scope="module")
def answered(client: Client) -> list[Answer]:
    """All of them, in the order of the recording."""
    found = []
    for command, _ in COMMANDS:
        done = client.dokku(command.replace(" g1", " hello").replace(" l1", " hello"))
        out, err = done.stdout.splitlines(), done.stderr.splitlines()
        found.append(Answer(tuple(out), tuple(err), done.returncode))
    return found


@pytest.mark.parametrize(
    ("at", "command"), list(enumerate(command for command, _ in COMMANDS)), ids=str
)
def test_command_is_answered_as_the_real_one_answered(
    answered: list[Answer], at: int, command: str
) -> None:
    """(faults K)"""
    recorded, found = COMMANDS[at][1], answered[at]
    assert found.code == recorded.code, command
    expected = json.loads(json.dumps(read(recorded)).replace(" g1", " hello"))
    assert json.loads(json.dumps(read(found))) == expected


WORDS = {
    name: pattern
    for name, pattern in vars(answers).items()
    if isinstance(pattern, re.Pattern)
    and name not in {"SHA", "NOT_YET", "NOT_MOVED", "WHY_NOT_MOVED"}
}


def said(lines: list[str]) -> list[str]:
    """The words that are looked for, in their order, each once in a row."""
    found = [name for line in lines for name, each in WORDS.items() if each.search(line)]
    return [name for at, name in enumerate(found) if at == 0 or found[at - 1] != name]


CASES = {
    "a deploy by Dockerfile": {},
    "the build fails": {"bin/post_compile": "#!/bin/sh\nexit 7\n"},
    "the release task fails": {"Procfile": f"{WEB['Procfile']}release: echo releasing; exit 4\n"},
    "the predeploy script fails": {
        "app.json": json.dumps({"scripts": {"dokku": {"predeploy": "echo pre; exit 5"}}})
    },
}


@pytest.mark.parametrize("case", CASES)
def test_push_says_the_words_of_the_real_one(client: Client, tmp_path: Path, case: str) -> None:
    """(faults K)"""
    repo = new_repo(client, tmp_path / "repo", {**WEB, **CASES[case]})
    lines = client.push(repo, "hello", "main:master", "--force").stderr.splitlines()
    recorded = DEPLOYS[case]
    assert said(lines) == said(recorded), "\n".join(lines)
    name = re.compile(r"'[^']*'|\"[^\"]*\"|: .*")  # how the tasks are called differs
    assert name.sub("", answers.reason(lines)[0]) == name.sub("", answers.reason(recorded)[0])


def test_refused_push_says_the_words_of_the_real_one(
    server: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    """(faults K6)"""
    repo = new_repo(client, tmp_path / "repo", WEB)
    server.configure(build_seconds=3.0)
    first = client.command("ps:rebuild hello")
    with subprocess.Popen(first, stdout=subprocess.DEVNULL, env=client.environ):
        until(lambda: server.app("hello").locked)
        refused = client.push(repo, "hello", "main:master", "--force")
    server.configure(build_seconds=0.0)
    recorded = DEPLOYS["somebody else deploys"]
    assert refused.returncode == 1
    assert said(refused.stderr.splitlines()) == said(recorded[:-1])


def test_image_says_the_words_of_the_real_one(server: DokkuStandIn, client: Client) -> None:
    """(faults K)"""
    built = server.app("i1").state.built
    assert built is not None
    server.image("localhost:5099/i:3", Path(built.directory))
    done = client.dokku("git:from-image i1 localhost:5099/i:3")
    client.dokku("git:from-image i1 localhost:5099/i:2")  # what the recordings know of it
    recorded = DEPLOYS["an image"]
    assert said(f"{done.stdout}\n{done.stderr}".splitlines()) == said(recorded)


def test_inspect_agrees_with_the_report(client: Client) -> None:
    """`ps:inspect` was not recorded: it is what Docker says of the same containers (faults K3)."""
    told = client.dokku("ps:inspect hello")
    inspected = processes.inspected(Result(("ssh",), told.returncode, out=told.stdout.encode()))
    report = client.dokku("ps:report hello").stdout
    reported = processes.reported(Result(("ssh",), 0, out=report.encode())).processes
    assert [each[:3] for each in inspected] == [each[:3] for each in reported] != []
    assert client.dokku("ps:inspect c3").returncode == 1  # no container is an error of Docker's
