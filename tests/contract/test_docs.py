"""What README and docs show.

Every YAML block follows its schema and uses inputs that exist, every command is one that we
understand, every link leads somewhere, every setting that is named exists.
"""

from __future__ import annotations

import ast
import fnmatch
import inspect
import itertools
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ci_deploy import __version__, cli
from ci_deploy.commands.assembly import COMMAND, every_setting
from ci_deploy.errors import Ending
from ci_deploy.layers.applications.hooks import Hooks
from ci_deploy.report.outputs import OUTPUTS
from ci_deploy.settings import elsewhere
from standins.dokku import registry
from standins.support import ROOT
from tests.contract.test_manifest import check_schema

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^( *)(`{3,})([\w-]*)[^\n]*\n(.*?)^\1\2$", re.M | re.S)
OURS = re.compile(r"(?:^|/)ci-deploy/ci-deploy(?:/([\w-]+))?@(\S+)$")
IMAGE = re.compile(r"/(?:full|dokku|heroku|compose|swarm):(\S+)$")
# Programs that the docs name for the reader's own machine or server, and that tests run elsewhere.
ELSEWHERE = {
    "git", "ssh-keygen", "ssh-keyscan", "base64", "sudo", "curl", "pip", "pip-compile", "cosign",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            indent, _, language, body = match.groups()
            if language in languages:
                lines = [line.removeprefix(indent) for line in body.splitlines()]
                at = text.count("\n", 0, match.start()) + 1
                yield Block(page, at, language, "\n".join(lines) + "\n")


def changes() -> Iterator[Block]:
    """The YAML before and after each change that a page shows as a diff."""
    for block in blocks("diff"):
        for sign, other in ("-+", "+-"):
            lines = [line for line in block.text.splitlines(keepends=True) if line[:1] != other]
            assert all(line[:1] in {" ", sign} for line in lines), str(block)
            yield Block(block.page, block.line, sign, "".join(line[1:] for line in lines))


def test_every_block_says_what_it_is() -> None:
    known = {"yaml", "sh", "text", "json", "python", "dockerfile", "toml", "ruby", "env", "diff"}
    for page in PAGES:
        for match in FENCE.finditer(page.read_text(encoding="utf-8")):
            assert match[3] in known, f"{page.name}: ```{match[3]}"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("docs/gitlab.md", "`base64 <deploy_key | tr -d"),  # what GitLab can mask (faults E4)
        ("docs/gitlab.md", "the environment scope `review/*`"),  # a second key (faults E5)
        ("docs/gitlab.md", "leaves its pipeline *blocked*"),  # a manual job (faults E8)
        ("README.md", "## Components"),  # the catalog's guide (faults E9)
        ("README.md", "## Contribute"),
        ("docs/compose.md", "Whatever two projects cannot share"),  # (faults G3)
    ],
)
def test_advice_that_was_missed_is_there(page: str, words: str) -> None:
    assert words in " ".join((ROOT / page).read_text(encoding="utf-8").split())


# --- YAML ---


@cache
def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _schema(found: Any) -> tuple[str, Any]:
    """Which schema a block has to follow, and the document to check."""
    if isinstance(found, list) and all("uses" in step or "run" in step for step in found):
        job = {"runs-on": "ubuntu-latest", "steps": found}
        return "github-workflows", {"on": "push", "jobs": {"job": job}}
    if "on" in found and "jobs" in found:
        return "github-workflows", None
    if "workflows" in found:
        return "circle-ci", None
    if "services" in found and any("image" in each for each in found["services"].values()):
        return "compose-spec", None
    return "gitlab-ci", None


@pytest.mark.parametrize("block", [*blocks("yaml"), *changes()], ids=str)
def test_yaml_follows_its_schema(block: Block, tmp_path: Path) -> None:
    schema, document = _schema(_load(block.text))
    path = tmp_path / "block.yml"
    path.write_text(json.dumps(document) if document else block.text)
    options = ["--data-transform", "gitlab-ci"] if schema == "gitlab-ci" else []
    assert check_schema("--builtin-schema", f"vendor.{schema}", *options, str(path)) == ""


def _uses(node: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Every use of our component or action, with its inputs."""
    if isinstance(node, list):
        for each in node:
            yield from _uses(each)
    elif isinstance(node, dict):
        keys = ("component", "inputs"), ("uses", "with"), ("file", "inputs"), ("remote", "inputs")
        for key, inputs in keys:
            if isinstance(node.get(key), str):
                yield node[key], node.get(inputs, {})
        for each in node.values():
            yield from _uses(each)


def examples() -> Iterator[Block]:
    for path in sorted((ROOT / "examples").glob("*/*.yml")):
        yield Block(path, 1, "yaml", path.read_text())


def _kept(node: Any) -> Iterator[str]:
    """Every path that a job keeps, as an artifact or in a cache."""
    if isinstance(node, list):
        for each in node:
            yield from _kept(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in {"path", "paths", "untracked"}:
                given = value if isinstance(value, list) else str(value).split()
                yield from map(str, given)
            else:
                yield from _kept(value)


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "examples").rglob("*.yml"), *(ROOT / "templates").glob("*.yml")]),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_job_that_people_copy_keeps_the_dumps_of_a_database(path: Path) -> None:
    """They lie in the checkout (Dokku), and artifacts are read by everybody in the project."""
    for document in YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8")):
        for pattern in _kept(document):
            assert not fnmatch.fnmatch("deploy-backup-shop-db.dump", pattern), pattern
            assert pattern not in {".", "./", "True"}, pattern


@pytest.mark.parametrize("block", [*blocks("yaml"), *changes(), *examples()], ids=str)
def test_yaml_uses_inputs_and_versions_that_exist(block: Block) -> None:
    for what, inputs in _uses(_load(block.text)):
        action = _load((ROOT / "action.yml").read_text())["inputs"]
        if match := OURS.search(what):
            template, version = match[1], match[2].removeprefix("v")
            assert version == __version__
            if template and version != match[2]:  # GitHub's, with one provider's inputs
                action, template = _load((ROOT / template / "action.yml").read_text())["inputs"], ""
        elif match := re.match(r"/templates/([\w-]+)\.yml$", what):
            template = match[1]
        else:
            continue
        known = action
        if template:
            head = (ROOT / f"templates/{template}.yml").read_text().split("\n---\n")[0]
            known = _load(head)["spec"]["inputs"]
        assert set(inputs) <= set(known)
        if template:  # GitLab refuses a number or a boolean where a string is declared
            kinds = {name: known[name].get("type", "string") for name in inputs}
            assert all(isinstance(inputs[name], str) == (kinds[name] == "string") for name in kinds)
    for image in re.findall(r"image: (\S+)", block.text):
        if match := IMAGE.search(image):
            assert match[1] == __version__


@pytest.mark.parametrize("block", [*blocks("yaml")], ids=str)
def test_jobs_that_only_look_do_not_count_as_deployments(block: Block) -> None:
    """Else GitLab shows the plan as what was deployed last."""
    found = _load(block.text)
    for job in found.values() if isinstance(found, dict) and "include" in found else ():
        script = " ".join(job.get("script", [])) if isinstance(job, dict) else ""
        if re.search("ci-deploy (plan|doctor)", script):
            assert job["environment"]["action"] == "verify"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples/gitlab").glob("*.yml")), ids=lambda path: path.name
)
def test_examples_say_truly_how_many_lines_they_take(path: Path) -> None:
    """From `include:` on; what stands before is the tests' and so on, which both have."""
    text = path.read_text()
    lines = text[text.index("\ninclude:") :].splitlines()
    count = sum(bool(line) and not line.startswith("#") for line in lines)
    assert re.search(rf"^# Lines: \d+ there.*, {count} here", text, re.M), count


def test_inputs_that_a_sentence_shows_for_gitlab_are_strings_too() -> None:
    inputs = "|".join(each.input for each in every_setting())
    bare = re.compile(rf"`({inputs}|git-depth): (true|false|\d+)`")
    assert bare.findall((ROOT / "docs/gitlab.md").read_text()) == []


RUN = {  # what a page says of examples that tests run, and the tests
    "github": ROOT / "tests/runners/test_act.py",
    "gitlab": ROOT / "tests/runners/test_gitlab_ci_local.py",
}


@pytest.mark.parametrize("platform", RUN)
def test_examples_that_a_page_calls_tested_are_run(platform: str) -> None:
    """All but the one that needs several hosts, which the page names."""
    tests = RUN[platform].read_text()
    text = " ".join((ROOT / f"docs/{platform}.md").read_text().split())
    for path in (ROOT / "examples" / platform).glob("*.yml"):
        if path.name.startswith("many-apps"):
            assert f"of `{path.name}`, which needs several hosts, they check" in text
        else:
            assert f'"{path.name.partition(".")[0]}' in tests or f"{platform}/{path.name}" in tests


# --- commands ---


def _commands(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield words


def _in_container(words: list[str]) -> list[str]:
    """The command of a `docker run`; the variables that it passes have to be settings."""
    names = {each.name for each in every_setting()} | {"COMMAND"}
    for option, value in itertools.pairwise(words):
        if option == "-e":
            name = value.partition("=")[0].removesuffix("_FILE")
            assert name in names or value.partition("=")[0] in names, name
    at = next(i for i, word in enumerate(words) if IMAGE.search(word))
    assert IMAGE.search(words[at])[1] == __version__  # type: ignore[index]
    return words[at + 1 :]


def _check(words: list[str]) -> None:
    match words:
        case ["docker", "run", *rest]:
            _check(_in_container(rest) or ["ci-deploy", "--help"])
        case ["docker", "buildx", *_] | ["deploy"] | ["for", *_] | ["done"]:
            return
        case ["ssh", _, *rest]:
            _check(rest)
        case ["ci-deploy", "--help"]:
            return
        case ["ci-deploy", *rest]:
            cli._parse(rest)
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
        case ["dokku", command, *_] if command.startswith("acl:"):  # of the docs' own plugin
            return
        case ["dokku", command, *_]:
            plugin = command.partition(":")[0]
            assert plugin in {*registry.MODULES, *registry.EXTRA_PLUGINS}, command
        case ["sudo", "dokku", "plugin:install", *_]:
            return
        case _:
            assert words[0] in ELSEWHERE, words


@pytest.mark.parametrize("block", [*blocks("sh")], ids=str)
def test_commands_are_understood(block: Block) -> None:
    done = subprocess.run(["sh", "-n"], input=block.text, text=True, check=False, timeout=10)
    assert done.returncode == 0
    for words in _commands(block.text):
        _check(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_are_understood(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`((?:ci-deploy|dokku) [^`]+)`", text):
        words = shlex.split(code.replace("…", " "))
        if not any(word.isupper() and len(word) > 1 for word in words[1:2]):
            _check([word for word in words if word != "|"])


@pytest.mark.parametrize("block", [*blocks("python")], ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


# --- names and links ---


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    here = "https://github.com/ci-deploy/ci-deploy/"
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if target.startswith(here):
            inside = re.sub(r"^(tree|blob)/main/", "", path.removeprefix(here))
            assert inside.startswith(("releases", "issues", "security")) or (ROOT / inside).exists()
        elif not re.match(r"\w+:", target):
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), target
            if anchor:
                assert anchor in _anchors(found), target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    slugs = {re.sub(r"\s+", "-", heading.strip()) for heading in plain}
    return slugs | set(re.findall(r'<a id="(\w+)">', page.read_text(encoding="utf-8")))


# Variables of the platforms and programs that the docs speak of, beside our own settings.
THEIRS = re.compile(
    r"(CI|GITHUB|GITLAB|CIRCLE|GIT|INPUT|DEPLOYED|DOCKER|RAILS|DJANGO|NODE|LD|SENTRY|COMPOSE)_\w+"
)
OTHERS = {
    "CI_DEPLOY_UNFINISHED", "CI_DEPLOY_HISTORY", "CI_DEPLOY_REVIEW_APP",
    "CI_DEPLOY_BUILD_DIR",
    "REVIEW_HOST",  # for compose files
    "POSTGRES_USER", "MYSQL_ROOT_PASSWORD",  # of databases' images
    "DATABASE_URL", "REDIS_URL", "REDIS_TLS_URL", "HEROKU_BUILD_COMMIT", "SSH_REMOTE", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY", "DISCORD_WEBHOOK_URL",
    "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_POOL", "REGISTRY_TOKEN",  # of an app, a workflow
    "TS_AUTHKEY", "WIREGUARD_CONFIG", "HEROKU_EMAIL",  # of VPNs and of another action
    *(name for names in elsewhere.OTHERS.values() for name in names),
    "PROJECT_PATH", "APP_BASE", "DOKKU_SCALE",  # of buildpacks, and a file of old apps
    "NO_COLOR", "DOKKU_ACL_USER_COMMANDS", "DOKKU_ACL_PER_SERVICE_COMMANDS",
}  # fmt: skip


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.stem != "migrating"],  # which names those of other tools
    ids=lambda page: page.name,
)
def test_settings_that_are_named_exist(page: Path) -> None:
    known = {name for each in every_setting() for name in (each.name, *each.aliases)}
    known |= {f"{name}_FILE" for name in known} | {COMMAND.name} | OTHERS
    known |= set(re.findall(r"DEPLOY_\w+|IS_REVIEW_APP", inspect.getsource(Hooks.environ)))
    known |= {f"DEPLOYED_{name.upper()}" for name in OUTPUTS}
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`\n]+)`", text):
        for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b", code):
            assert name in known or THEIRS.fullmatch(name), name


# --- messages ---

SOURCES = ROOT / "entrypoint/ci_deploy"
EXPLAINED = {
    "dokku-messages": [
        SOURCES / "run/order.py",
        SOURCES / "run/review_app.py",
        *(SOURCES / "layers/providers/dokku").glob("*.py"),
    ],
    "heroku-messages": [*(SOURCES / "layers/providers/heroku").glob("*.py")],
    "docker-messages": [
        SOURCES / "layers/providers/backups.py",
        *(SOURCES / "net/ssh").glob("*.py"),
        *(SOURCES / "layers/providers/docker").glob("*.py"),
        *(SOURCES / "layers/providers/compose").glob("*.py"),
        *(SOURCES / "layers/providers/compose/host").glob("*.sh"),
        *(SOURCES / "layers/providers/swarm").glob("*.py"),
    ],
}
# How the program on a Docker host says why a run has failed.
REASONS = re.compile(
    r'\b(?:why|because|unhealed)="([^"]+)"|say\("bad", "([^"]+)"'
    r'|finish (?:failed|refused|locked|stopped) "([^"]+)"'
)
VALUE = re.compile(r"\$\(.*|\$\{[^}]*\}|\$\w+|\\")  # of a shell's variable or command


def _errors() -> set[str]:
    """The names of all classes of errors in the package."""
    pattern = re.compile(r"^class (\w+)\((\w+)\)", re.M)
    found = [pair for path in SOURCES.rglob("*.py") for pair in pattern.findall(path.read_text())]
    names = {Ending.__name__}
    while more := {name for name, base in found if base in names} - names:
        names |= more
    return names


RAISED = _errors()


def _told(path: Path) -> Iterator[str]:
    """The longest part without variables of each message that a module raises or maps."""
    if path.suffix == ".sh":
        for found in REASONS.finditer(path.read_text(encoding="utf-8")):
            reason = next(filter(None, found.groups()))
            longest = max(VALUE.split(reason), key=len).strip(" :;,(")
            if " " in longest:
                yield longest
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Assign(targets=[ast.Name(id="message" | "reason")], value=value):
                pass
            case ast.Call(func=ast.Name(id=name), args=[value, *_]) if name in RAISED:
                pass
            case ast.Tuple(elts=[value, ast.Constant(value=str())]):
                pass
            case _:
                continue
        parts = [n.value for n in ast.walk(value) if isinstance(n, ast.Constant)]
        texts = [
            text for part in parts if isinstance(part, str) for text in re.split(r"\{\w\}", part)
        ]
        longest = max(texts, key=len, default="").strip()
        if " " in longest and "`type`" not in longest:
            yield longest


@pytest.mark.parametrize("page", EXPLAINED)
def test_every_message_is_explained(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    told = {message for path in EXPLAINED[page] for message in _told(path)}
    assert len(told) > 20
    assert not {message for message in told if message not in text}
