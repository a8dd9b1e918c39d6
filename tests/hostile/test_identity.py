"""Who a server is: host keys in all forms and types, private keys, and somebody in between.

A host that is not the pinned one gets nothing, neither a user's name nor a key. A few cases here,
all of them by `make hostile`.
"""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from standins.dokku.jump import jump_host
from standins.dokku.server import DokkuStandIn
from standins.dokku.sshd import KEY_TYPES
from standins.support import Checkout, run, settings_for
from tests.hostile import identity
from tests.hostile.behind import Behind
from tests.hostile.engines import Compose, Swarm
from tests.hostile.identity import BAD_CERTIFICATES, CERTIFIED, FORMS, KEYGEN, Form, Keys
from tests.hostile.proxy import FaultProxy
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import COMMANDS, Dokku, Trial

FEW = {
    "CRLF", "hashed", "pattern", "wrong line", "of another port",
    "revoked by its hashed name, and pinned",
}  # fmt: skip


def _wrong(keys: Keys, checkout: Checkout, form: Form) -> list[str]:
    """What is wrong with how `doctor` took pins of this form."""
    server = keys.server
    env = settings_for(server, SSH_SERVER_HOSTKEYS=form.pins(keys))
    env |= {name: text.format(line=keys.line) for name, text in form.env.items()}
    before, calls = server.sshd_log.stat().st_size, len(server.calls())
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
    said, found = done.output + done.errors, list[str]()
    if done.code != form.code:
        found.append(f"exit code {done.code}, not {form.code}")
    if form.says not in said:
        found.append(f"it does not say {form.says!r}")
    if form.code and (server.calls()[calls:] or identity.heard(server, before)):
        found.append(f"something was sent: {identity.heard(server, before)}")
    if form.code == 2 and b"Connection from" in server.sshd_log.read_bytes()[before:]:
        found.append("it has connected")
    return [f"{keys.kind}, {form.name}: {each}\n{said}" for each in found]


def _keys(server: DokkuStandIn, folder: Path, kind: str) -> Keys:
    strangers = folder / "strangers"
    if not strangers.exists():
        identity.make_keys(strangers, (kind,))
        for name in ("authority", "stranger"):
            path = str(strangers / name)
            subprocess.run([*KEYGEN, "-t", "ed25519", "-N", "", "-f", path], check=True)
    return Keys(server, strangers, kind)


def _always(text: str) -> Callable[[Keys], str]:
    return lambda _keys: text


def _record(record: Record, kind: Kind, tried: int, lost: list[str]) -> None:
    record("hostile", [kind.name, tried, len(lost)])
    assert not lost, "\n\n".join(lost)


def test_few_forms_of_host_keys(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    """(faults J6)"""
    keys = _keys(dokku, tmp_path, "ed25519")
    identity.show(dokku, tmp_path / "aside", ("ed25519",))
    forms = [form for form in FORMS if form.name in FEW]
    lost = [each for form in forms for each in _wrong(keys, checkout, form)]
    _record(record_property, Kind.HOST_KEYS, len(forms), lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "all types"])
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_forms_of_host_keys(
    dokku: DokkuStandIn,
    checkout: Checkout,
    tmp_path: Path,
    record_property: Record,
    kind: str,
    alone: bool,
) -> None:
    """The server has one key, or one of each type: then the pins of its others are right, too."""
    keys = _keys(dokku, tmp_path, kind)
    if alone:
        identity.show(dokku, tmp_path / "aside", (kind,))
    forms = identity.forms(kind, alone=alone)
    lost = [each for form in forms for each in _wrong(keys, checkout, form)]
    _record(record_property, Kind.HOST_KEYS, len(forms), lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_host_certificates(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, kind: str
) -> None:
    keys = _keys(dokku, tmp_path, kind)
    identity.show(dokku, tmp_path / "aside", (kind,))
    authority = keys.folder / "authority"
    identity.certify(dokku, authority, kind, "-h", "-n", "127.0.0.1")
    lost = [each for form in CERTIFIED for each in _wrong(keys, checkout, form)]
    for name, options in BAD_CERTIFICATES.items():
        signer = keys.folder / "stranger" if "authority" in name else authority
        identity.certify(dokku, signer, kind, *options)
        for code, pins in ((12, f"@cert-authority * {keys.authority}"), (0, keys.line)):
            form = Form(f"certificate {name}, {pins[:5]}", _always(pins), code)
            lost += _wrong(keys, checkout, form)
    tried = len(CERTIFIED) + 2 * len(BAD_CERTIFICATES)
    _record(record_property, Kind.HOST_KEYS, tried, lost)


# --- somebody in between ---

ON_HOSTS = ("deploy", "rollback", "status")
WHERE = ("before", "behind")
AT_A_JUMP = ("accept", "key exchange", "auth", "answer 1", "advertisement", "build", "report")


def every(command: str) -> int:
    """One in so many steps: all of those that change most."""
    return 1 if command in {"deploy", "review"} else 2


def deceive(trial: Trial, record: Record, folder: Path, steps: Sequence[str]) -> None:
    """At the first connection, and at the next one after a cut at each of these steps."""
    lost, met = list[str](), 0
    with identity.impostor(folder, trial.world.env()["SSH_PRIVATE_KEY"]) as other:
        for step in ["", *steps]:
            found, deceived = trial.deceive(step, other.port)
            told = [*identity.heard(other), *(call.raw for call in other.calls())]
            lost += [*found, *(f"{step}: the impostor was told: {each}" for each in told)]
            met += deceived
        assert met, "nobody has met the impostor"
    _record(record, Kind.IMPOSTORS, len(steps) + 1, lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_impostors(
    dokku_world: Dokku, tmp_path: Path, record_property: Record, command: str
) -> None:
    trial = Trial(dokku_world, command)
    deceive(trial, record_property, tmp_path / "impostor", trial.names()[:: every(command)])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", ON_HOSTS)
def test_impostors_of_a_docker_host(
    compose_world: Compose, tmp_path: Path, record_property: Record, command: str
) -> None:
    trial = Trial(compose_world, command)
    deceive(trial, record_property, tmp_path / "impostor", trial.names()[:: every(command)])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_impostors_of_a_swarm(swarm_world: Swarm, tmp_path: Path, record_property: Record) -> None:
    trial = Trial(swarm_world, "deploy")
    deceive(trial, record_property, tmp_path / "impostor", trial.names()[::2])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("where", WHERE)
def test_impostors_of_a_jump_host_and_of_the_server_behind_it(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, where: str
) -> None:
    """The other one of the two connections is the right one. When the second connection is
    intercepted, the keys of the first one say nothing."""
    with jump_host(tmp_path / "jump") as jump:
        target = (dokku.host, dokku.port) if where == "behind" else ("127.0.0.1", jump.port)
        with FaultProxy(*target) as proxy:
            trial = Trial(Behind(dokku, proxy, checkout, jump, where), "deploy")
            deceive(trial, record_property, tmp_path / "impostor", AT_A_JUMP)


# --- private keys: from the setting into the agent, and to a real server ---

KEY_FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no last newline": lambda text: text.rstrip("\n"),
    "one line": lambda text: text.replace("\n", "\\n"),
    "blanks for newlines": lambda text: text.replace("\n", " "),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 of CRLF": lambda text: b64encode(text.replace("\n", "\r\n").encode()).decode(),
    "quoted": lambda text: f'"{text}"',
}
KEY_TYPES_OF_CLIENTS = {
    "ed25519": ("-t", "ed25519"),
    "rsa": ("-t", "rsa", "-b", "2048"),
    "ecdsa": ("-t", "ecdsa"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
}
FORMATS = {"OpenSSH": (), "PEM": ("-m", "PEM"), "PKCS8": ("-m", "PKCS8")}
# How a text is written does not depend on the type of its key, but on its format: with one type of
# each all forms, with the others these.
ALL_FORMS = {("ed25519", "OpenSSH"), ("rsa", "PEM"), ("ecdsa", "PKCS8")}
FEW_FORMS = ["CRLF", "one line", "base64"]


def forms_of(kind: str, form: str) -> list[str]:
    """The ways in which such a key is written."""
    return list(KEY_FORMS) if (kind, form) in ALL_FORMS else FEW_FORMS


def _let_in(dokku: DokkuStandIn, checkout: Checkout, text: str, **more: str) -> tuple[int, str]:
    env = settings_for(dokku, SSH_PRIVATE_KEY=text, **more)
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
    return done.code, done.output + done.errors


def _tried_keys(
    dokku: DokkuStandIn, checkout: Checkout, folder: Path, kind: str, form: str, names: list[str]
) -> list[str]:
    """What is wrong with keys of a type, in a format, written in these ways; each with and without
    a passphrase. A key is let in where the server knows it, and nothing of it is ever shown."""
    lost = list[str]()
    for passphrase in ("", "a pass phrase"):
        path = folder / f"{kind}-{form}{len(passphrase)}"
        argv = [*KEYGEN, *KEY_TYPES_OF_CLIENTS[kind], *FORMATS[form], "-a1", "-N", passphrase]
        subprocess.run([*argv, "-f", str(path)], check=True)
        dokku.authorize(path.with_suffix(".pub").read_text())
        text = path.read_text()
        for name in names:
            given, tries = KEY_FORMS[name](text), [(passphrase, 0, "All checks passed")]
            if passphrase:
                tries += [
                    ("", 2, "the key has a passphrase"),
                    ("wrong", 2, "the passphrase does not fit SSH_PRIVATE_KEY"),
                ]
            for answer, code, words in tries:
                more = {"SSH_PRIVATE_KEY_PASSPHRASE": answer} if answer else {}
                ended, said = _let_in(dokku, checkout, given, **more)
                secret = max(text.splitlines()[1:-1], key=len)[:24]
                if ended != code or words not in said or secret in said:
                    lost.append(f"{kind}, {form}, {name}, {answer!r}: {ended}\n{said}")
    return lost


def test_few_private_keys(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    """(faults J7)"""
    lost = _tried_keys(dokku, checkout, tmp_path, "ecdsa", "PKCS8", ["CRLF"])
    _record(record_property, Kind.KEYS, 4, lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KEY_TYPES_OF_CLIENTS)
def test_private_keys(
    dokku: DokkuStandIn,
    checkout: Checkout,
    tmp_path: Path,
    record_property: Record,
    kind: str,
    form: str,
) -> None:
    if kind == "ed25519" and form != "OpenSSH":
        pytest.skip("ssh-keygen writes ed25519 in no other format")
    lost = _tried_keys(dokku, checkout, tmp_path, kind, form, forms_of(kind, form))
    _record(record_property, Kind.KEYS, 4 * len(forms_of(kind, form)), lost)


# --- names under which a server is known ---


class SixProxy(FaultProxy):
    """The same server at ::1."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.host = "::1"


NAMES = (
    ("127.0.0.1:{port}", "[127.0.0.1]:{port}", ""),
    ("localhost:{port}", "[localhost]:{port}", ""),
    ("LocalHost:{port}", "[localhost]:{port}", ""),
    ("localhost:{port}", "[LOCALHOST]:{port}", ""),
    ("localhost:{port}", "localhost", ""),
    ("shop", "[127.0.0.1]:{port}", "Host shop\n  HostName 127.0.0.1\n  Port {port}\n"),
    ("shop:{port}", "[127.0.0.1]:{port}", "Host shop\n  HostName 127.0.0.1\n"),
    (
        "shop",
        "the-shop",
        "Host shop\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias the-shop\n",
    ),
)
SIX = (("[::1]:{six}", "[::1]:{six}", ""), ("ssh://[::1]:{six}", "[::1]:{six}", ""))


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_names_of_a_server(
    dokku: DokkuStandIn, checkout: Checkout, record_property: Record, tmp_path: Path
) -> None:
    """Each with its key, with another, and with a line for another name."""
    keys, lost = _keys(dokku, tmp_path, "ed25519"), list[str]()
    with SixProxy(dokku.host, dokku.port) as proxy:
        ports = {"port": dokku.port, "six": proxy.port}
        for host, name, config in (*NAMES, *SIX):
            there = host.format(**ports)
            known, far = name.format(**ports), "://" in there
            address = there.replace("://", f"://{dokku.user}@") if far else f"{dokku.user}@{there}"
            for pins, code in (
                (f"{known} {keys.ours}", 0),
                (keys.print(keys.ours), 0),
                (f"{known} {keys.strange}", 12),
                (f"x{known.strip('[')} {keys.ours}".replace("]", ""), 12),
                (f"@revoked * {keys.ours}\n{keys.print(keys.ours)}", 12),
            ):
                env = settings_for(dokku, DOKKU_HOST=address, SSH_SERVER_HOSTKEYS=pins)
                env |= {"SSH_CONFIG": config.format(**ports)} if config else {}
                done = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
                if done.code != code:
                    lost.append(f"{host}, {pins}: {done.code}\n{done.output}{done.errors}")
    _record(record_property, Kind.HOST_KEYS, 5 * len((*NAMES, *SIX)), lost)
