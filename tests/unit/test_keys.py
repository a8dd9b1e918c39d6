"""Private keys in every form in which people put them into CI, checked by real OpenSSH."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ci_deploy.net.ssh.agent import Agent, listens
from ci_deploy.net.ssh.keys import PrivateKey, private_key
from ci_deploy.process.runner import Runner

KINDS = {
    "ed25519": ("-t", "ed25519"),
    "rsa-pem": ("-t", "rsa", "-b", "2048", "-m", "PEM"),
    "ecdsa-pkcs8": ("-t", "ecdsa", "-m", "PKCS8"),
}
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "no last newline": lambda text: text.rstrip("\n"),
    "blank lines around": lambda text: f"\n\n  {text}\n\n",
    "literal \\n": lambda text: text.replace("\n", "\\n"),
    "literal \\n and a newline": lambda text: text.replace("\n", "\\n") + "\n",
    "literal \\r\\n": lambda text: text.replace("\n", "\\r\\n"),
    "quoted": lambda text: f'"{text}"',
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "wrapped base64": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 of CRLF": lambda text: base64.b64encode(text.replace("\n", "\r\n").encode()).decode(),
    "one line": lambda text: text.replace("\n", " "),
    "indented": lambda text: "\n".join(f"    {line}" for line in text.splitlines()),
    "with a comment before": lambda text: f"# deploy key\n{text}",
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Kind → private key, public key; `locked` ones have the passphrase `secret`."""
    folder = tmp_path_factory.mktemp("keys")
    made = {}
    for kind, options in KINDS.items():
        for name, passphrase in ((kind, ""), (f"{kind} locked", "secret")):
            path = folder / name.replace(" ", "-")
            argv = ["ssh-keygen", "-q", *options, "-a1", "-N", passphrase, "-C", ""]
            subprocess.run([*argv, "-f", str(path)], check=True)
            made[name] = (path.read_text(), path.with_suffix(".pub").read_text())
    return made


def public_half(key: PrivateKey, folder: Path, passphrase: str = "") -> str:
    """What OpenSSH makes of the text."""
    path = folder / "key"
    path.write_text(key.text)
    path.chmod(0o600)
    argv = ["ssh-keygen", "-y", "-P", passphrase, "-f", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_is_the_same_key(
    keys: dict[str, tuple[str, str]], tmp_path: Path, kind: str, form: str
) -> None:
    text, public = keys[kind]
    key = private_key(FORMS[form](text))
    assert not key.encrypted
    assert public_half(key, tmp_path) == public.strip()


@pytest.mark.parametrize(
    "form", ["as it is", "CRLF", "literal \\n", "base64", "one line", "indented"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_encrypted_keys_are_known_as_such(
    keys: dict[str, tuple[str, str]], tmp_path: Path, kind: str, form: str
) -> None:
    text, public = keys[f"{kind} locked"]
    key = private_key(FORMS[form](text))
    assert key.encrypted
    assert public_half(key, tmp_path, "secret") == public.strip()


def refusal(text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        private_key(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA jane@laptop", "this is the public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "this is the public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "this is a PuTTY key"),
        ("/etc/deploy/key", "the value looks like a path, but no such file exists"),
        ("~/.ssh/id_ed25519", "the value looks like a path, but no such file exists"),
        ("hello", "this is not a private key"),
        ("é" * 200, "this is not a private key"),
        ("QUJD" * 50, "this is not a private key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA", "the key is incomplete"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
            "the key is incomplete",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAé==\n-----END PRIVATE KEY-----", "the key is damaged"),
        ("-----BEGIN PRIVATE KEY-----\nA*AA\n-----END PRIVATE KEY-----", "the key is damaged"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
            "the key is damaged: it is not a complete OpenSSH private key",
        ),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_openssh_key_cut_anywhere_is_damaged(keys: dict[str, tuple[str, str]]) -> None:
    head, *body, tail = keys["ed25519"][0].splitlines()
    for cut in range(1, len("".join(body)) - 1, 7):
        text = "".join(body)[:cut]
        assert "damaged" in refusal(f"{head}\n{text}\n{tail}\n")


def test_no_error_and_no_repr_shows_any_of_the_key(keys: dict[str, tuple[str, str]]) -> None:
    text = keys["ed25519"][0]
    body = text.splitlines()[1]
    assert body[:20] not in refusal(text.replace(body, body[:-8]))
    assert body[:20] not in refusal(text.replace("END", "DNE"))
    assert body[:20] not in repr(private_key(text))


def test_agent_is_only_asked_when_it_listens() -> None:
    """On a busy machine its socket was there, and ssh-add was refused: that was told of the key."""
    with TemporaryDirectory(prefix="t", dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as it:
        path = Path(folder, "agent")
        assert not listens(path)
        it.bind(str(path))
        assert not listens(path)
        it.listen()
        assert listens(path)


def test_private_directory_is_gone_before_the_agent_that_would_remove_it_for_us(
    runner: Runner, keys: dict[str, tuple[str, str]]
) -> None:
    """A SIGKILL between the two left it behind: four of two hundred runs that had had a SIGTERM."""
    with TemporaryDirectory(prefix="t", dir="/tmp") as folder, ExitStack() as cleanup:
        private = Path(folder, "private")
        (private / "ssh").mkdir(parents=True)
        agent = Agent(runner, cleanup, private / "ssh")
        assert agent.start(private_key(keys["ed25519"][0]), "") == []
        cleanup.close()
        assert not agent.alive
        assert not private.exists()


def test_two_keys_in_one_setting_are_refused(keys: dict[str, tuple[str, str]]) -> None:
    """Which of them is meant cannot be known. (faults B5)"""
    with pytest.raises(ValueError, match=r"the value contains 2 private keys\. Leave only one"):
        private_key(keys["ed25519"][0] + keys["rsa-pem"][0])


@pytest.mark.parametrize("form", FORMS)
def test_ed25519_in_pkcs8_becomes_a_key_that_openssh_reads(tmp_path: Path, form: str) -> None:
    """OpenSSH before 9.6 says "invalid format" (faults B5)."""
    made = ["openssl", "genpkey", "-algorithm", "ed25519"]
    text = subprocess.run(made, check=True, capture_output=True, text=True).stdout
    asked = ["openssl", "pkey", "-pubout", "-outform", "DER"]
    public = subprocess.run(asked, input=text.encode(), check=True, capture_output=True).stdout
    half = public_half(private_key(FORMS[form](text)), tmp_path)
    assert base64.b64decode(half.split()[1])[-32:] == public[-32:]
