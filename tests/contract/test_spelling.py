"""Messages name settings as variables; where the platform has inputs, they are shown as inputs.

So a message may name a setting only where `as_inputs` finds it: in running text, or as `${NAME}` in
what belongs into a compose file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_deploy.commands.assembly import every_setting
from ci_deploy.errors import as_inputs
from standins.support import ROOT

SOURCES = ROOT / "entrypoint/ci_deploy"
NAMES = {name for each in every_setting() for name in (each.name, *each.aliases)}
ANY = re.compile(rf"(?<![\w${{])(?:{'|'.join(sorted(NAMES, key=len, reverse=True))})(?!\w)")
# The files that `init` writes, and what it says about them, name variables of the platform.
OF_INIT = ("commands/pipelines", "commands/first_steps.py")
DEFAULT = "`APP_NAME` and the branch"  # of a setting, for the tables of the docs
TEXTS = [
    path
    for path in sorted(SOURCES.rglob("*.py"))
    if not path.relative_to(SOURCES).as_posix().startswith(OF_INIT)
]


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Each text of a module that is a sentence; an f-string is one text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = set[int]()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):  # a docstring
                parts.add(id(node.value))
            case ast.JoinedStr(values=values):
                parts |= set(map(id, values))
                known = (each.value if isinstance(each, ast.Constant) else "x" for each in values)
                yield node.lineno, "".join(map(str, known))
            case ast.Constant(value=str(text)) if id(node) not in parts:
                yield node.lineno, text


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(SOURCES)))
def test_every_setting_that_a_message_names_can_be_spelled_as_an_input(path: Path) -> None:
    for line, text in _texts(path):
        if " " in text.strip() and text != DEFAULT:
            assert not ANY.search(as_inputs(text, NAMES)), f"{path.name}:{line}: {text}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Set DEPLOY_ALLOW=freeze.", "Set `deploy-allow: freeze`."),
        ("check DOCKER_USER and DOCKER_PASS.", "check `docker-user` and `docker-pass`."),
        ("timed out (DEPLOY_TIMEOUT), and", "timed out (`deploy-timeout`), and"),
        ("ON_CANCEL=rollback: there is none", "`on-cancel: rollback`: there is none"),
        ('COMPOSE_FILE="a.yml b.yml".', '`compose-file: "a.yml b.yml"`.'),
        ("Set SSH_SERVER_HOSTKEYS='a b'", "Set `ssh-server-hostkeys: 'a b'`"),
        ("MIGRATE=before needs it", "`migrate: before` needs it"),
    ],
)
def test_settings_are_spelled_as_inputs(text: str, shown: str) -> None:
    assert as_inputs(text, NAMES) == shown
    assert as_inputs(shown, NAMES) == shown
    assert as_inputs(text, ()) == text


@pytest.mark.parametrize(
    "text",
    [
        "Run `docker run -e SSH_PRIVATE_KEY IMAGE`.",
        "image: shop:${DEPLOY_TAG}, or $DEPLOY_TAG",
        'The "DEPLOY_TAG" variable is not set',
        "(variable LOCK_TIMEOUT): `never` is not a number",
        "APP_NAME_FILE, file /run/name",
        "feature/APP_NAME and hello-APP_NAME.example.com",
        "RAILS_MASTER_KEY and DATABASE_URL are the app's own",
    ],
)
def test_commands_values_and_other_names_stay(text: str) -> None:
    assert as_inputs(text, NAMES) == text
