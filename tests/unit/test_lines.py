"""Settings of several lines in every spelling: one parser for all of them."""

from __future__ import annotations

import base64
import codecs
import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_deploy.layers.providers.methods import impossible_names
from ci_deploy.net.ssh.client import SshSettings
from ci_deploy.net.ssh.host_keys import host_keys
from ci_deploy.settings import declared, lines, load
from ci_deploy.settings.core import CoreSettings
from ci_deploy.settings.sources import Source

CONFIG = "DATABASE_URL=postgres://u:p4ss@db/app\n# a comment\nGREETING='say hi'\nEMPTY=\n"
WANTED = {"DATABASE_URL": "postgres://u:p4ss@db/app", "GREETING": "say hi", "EMPTY": ""}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "text": str,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "mark": lambda text: f"\ufeff{text}",
    "literal \\n": lambda text: text.replace("\n", "\\n"),
    "literal \\r\\n": lambda text: text.replace("\n", "\\r\\n"),
    "literal \\n and a newline": lambda text: text.replace("\n", "\\n") + "\n",
    "base64": lambda text: encoded(text.encode()),
    "wrapped base64": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 without padding": lambda text: encoded(text.encode()).rstrip("="),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of CRLF": lambda text: encoded(text.replace("\n", "\r\n").encode()),
    "base64 with a mark": lambda text: encoded(codecs.BOM_UTF8 + text.encode()),
    "base64 of UTF-16": lambda text: encoded(text.encode("utf-16")),
    "base64 twice": lambda text: encoded(encoded(text.encode()).encode()),
    "base64 of literal \\n": lambda text: encoded(text.replace("\n", "\\n").encode()),
}
spelled = pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)


def core(text: str) -> tuple[CoreSettings | None, Source, list[str]]:
    source, hidden = Source({"APP_NAME": "web", "APP_CONFIG": text}), list[str]()
    return load(CoreSettings, source, hidden.append), source, hidden


@spelled
def test_config_may_be_spelled_in_any_way(spelling: Callable[[str], str]) -> None:
    """The values are those of the lines, and the secret ones are hidden. (faults C1)"""
    found, source, hidden = core(spelling(CONFIG))
    assert (source.problems, found and found.app_config) == ([], WANTED)
    assert WANTED["DATABASE_URL"] in hidden


@spelled
def test_host_keys_and_ssh_config_may_be_spelled_in_any_way(
    spelling: Callable[[str], str],
) -> None:
    """One rule for every setting of several lines. (faults C1)"""
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    text = f"a ssh-ed25519 {key}\nb ssh-ed25519 {key}\n"
    assert len(host_keys(spelling(text)).lines) == 2
    config = next(each for each in declared(SshSettings) if each.name == "SSH_CONFIG")
    wanted = "Host *\n  Port 2222"
    assert config.convert(spelling(wanted)).strip() == wanted


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_may_have_a_mark(encoding: str, tmp_path: Path) -> None:
    """As Windows' editors and PowerShell write them. (faults C1)"""
    path = tmp_path / "config"
    path.write_text(CONFIG, encoding=encoding)
    found, source, _hidden = core(str(path))
    assert (source.problems, found and found.app_config) == ([], WANTED)


@pytest.mark.parametrize("seed", range(4))
def test_no_config_in_base64_passes_as_a_name(seed: int) -> None:
    """Damaged, cut or binary base64 is refused, and nothing of it is shown. (faults C1)"""
    dice = random.Random(seed)
    letters = string.ascii_letters + string.digits + "$%&/()!?-_."
    for _ in range(2500):
        names = dice.sample(["DATABASE_URL", "A", "SECRET_KEY_BASE", "smtp_pass", "X1"], 3)
        config = {name: "".join(dice.choices(letters, k=dice.randint(1, 40))) for name in names}
        config = {name: f"x{value}x" for name, value in config.items()}
        text = "".join(f"{name}='{value}'\n" for name, value in config.items())
        assert lines.config(encoded(text.encode())) == config
        broken = encoded(dice.randbytes(dice.randint(3, 60)))
        with pytest.raises(ValueError, match=r"base64|NAME=value|not valid") as caught:
            lines.config(broken)
        assert broken.rstrip("=") not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        encoded(CONFIG.encode())[:41] + "=",  # cut
        encoded(b"DATABASE_URL: postgres://u:p4ss@db/app"),
        encoded(b"\x1f\x8b\x08\0 a gzip of it, longer than that")[:40] + "=",
        encoded(b"p4ssw0rd"),
        r"A=1\nsecret value\nB=2",
        "ENABLE_SOME_FEATURE=",  # base64 looks so too; with '' it is meant
        "maxRetryCount=",
        "1A=p4ssw0rd",
    ],
)
def test_what_is_no_config_is_refused_without_any_part_of_it(text: str) -> None:
    """Exit 2, and the message has nothing of the value. (faults C1)"""
    found, source, _hidden = core(text)
    assert found is None
    said = " ".join(f"{each.message} {each.remedy}" for each in source.problems)
    assert len(source.problems) == 1
    assert not any(part in said for part in (text[:12], "p4ss", "secret", "1A"))


def test_names_that_the_provider_cannot_take_are_problems_of_a_setting() -> None:
    """Dokku and Heroku take no dots and dashes; Compose does. (faults C1)"""
    assert lines.config("spring.profiles-x=1") == {"spring.profiles-x": "1"}
    found = list(impossible_names({"APP_CONFIG": {"A.B": "1", "C": "2"}}))
    assert [(each.setting, each.message) for each in found] == [
        ("APP_CONFIG", "a variable's name may contain only letters, digits and `_`, unlike A.B.")
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r'KEY="a\nb"', {"KEY": "a\nb"}),
        (r"KEY='a\nb'", {"KEY": r"a\nb"}),
        (r"KEY=a\nb", {"KEY": r"a\nb"}),
        (
            r"KEY=-----BEGIN PRIVATE KEY-----\nQUJD=\n-----END PRIVATE KEY-----\nB=2",
            {"KEY": r"-----BEGIN PRIVATE KEY-----\nQUJD=\n-----END PRIVATE KEY-----", "B": "2"},
        ),
        ("A=x\\ny\nB=2", {"A": r"x\ny", "B": "2"}),
        ("ENABLE_SOME_FEATURE=''", {"ENABLE_SOME_FEATURE": ""}),
        ("TOKEN=YWJjZGVm", {"TOKEN": "YWJjZGVm"}),
        ("ABC=''", {"ABC": ""}),
        ("export A=1", {"A": "1"}),
    ],
)
def test_what_only_looks_like_another_spelling_stays(text: str, wanted: dict[str, str]) -> None:
    """A literal \\n in a value, names without values, base64 as a value. (faults C1)"""
    assert lines.config(text) == wanted


@pytest.mark.parametrize("text", ["1e999", "NaN", "-Infinity", '{"a": [1e999]}', "[" * 100_000])
def test_json_that_python_alone_would_take_or_choke_on_is_refused(text: str) -> None:
    """int() of infinity raises OverflowError, the decoder RecursionError: each was told as a bug of
    ours. (faults J)"""
    with pytest.raises(ValueError, match=r"nested|number"):
        lines.from_json(text)
    assert lines.from_json(b'{"a": [1.5, null]}') == {"a": [1.5, None]}
