"""A server's identity: host keys in every form in which they are pinned, rightly and wrongly.

`FORMS` are texts for SSH_SERVER_HOSTKEYS that are made of the keys that a server has, the key type
that it shows, and strangers' keys; with each comes what a run has to end with.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from standins.dokku.server import DokkuStandIn
from standins.dokku.sshd import BITS, KEY_TYPES

KEYGEN = ["ssh-keygen", "-q"]
# What sshd notes once a client has named its user or shown a key; an impostor gets neither.
SIGNED_ON = re.compile(r"publickey|authenticating user|invalid user|userauth", re.I)
BETWEEN = "Somebody may be intercepting the connection"


def make_keys(folder: Path, kinds: tuple[str, ...] = KEY_TYPES) -> None:
    """Host keys that nobody has pinned."""
    folder.mkdir(parents=True)
    for kind in kinds:
        path = str(folder / f"host_{kind}")
        argv = [*KEYGEN, "-t", kind, *BITS.get(kind, ()), "-N", "", "-f", path]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def public(path: Path) -> str:
    """Type and key."""
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@contextmanager
def impostor(folder: Path, private_key: str) -> Iterator[DokkuStandIn]:
    """A server with keys of its own that would let us in, and has the same app."""
    make_keys(folder / "ssh")
    with DokkuStandIn(folder, delay=0.0, checks_wait=0.0) as server:
        key = folder / "known"
        key.touch(0o600)
        key.write_text(private_key)
        shown = subprocess.run([*KEYGEN, "-yf", str(key)], check=True, capture_output=True)
        server.authorize(shown.stdout.decode())
        yield server


def heard(server: DokkuStandIn, since: int = 0) -> list[str]:
    """What it was told by somebody who should have left: lines of its log, and commands."""
    lines = server.sshd_log.read_text(errors="replace")[since:].splitlines()
    return [line for line in lines if SIGNED_ON.search(line)]


class Keys(NamedTuple):
    """What pins are made of: of the server, and of strangers; each `ssh-ed25519 AAAA…`."""

    server: DokkuStandIn
    folder: Path
    kind: str  # of the only key that the server shows

    @property
    def name(self) -> str:
        return f"[{self.server.host}]:{self.server.port}"

    @property
    def ours(self) -> str:
        return public(self.server.sshd_log.parent / f"host_{self.kind}")

    @property
    def strange(self) -> str:
        """Of the same type."""
        return public(self.folder / f"host_{self.kind}")

    @property
    def line(self) -> str:
        return f"{self.name} {self.ours}"

    @property
    def others(self) -> list[str]:
        """Of the other types, the server's own, which it does not show."""
        folder = self.server.sshd_log.parent
        return [public(folder / f"host_{kind}") for kind in KEY_TYPES if kind != self.kind]

    @property
    def authority(self) -> str:
        return public(self.folder / "authority")

    def print(self, key: str) -> str:
        """Its fingerprint."""
        return self.keygen("-l", key).split()[1]

    def keygen(self, option: str, text: str) -> str:
        """What ssh-keygen makes of a file with this text: `-l` lists it, `-H` hashes its names."""
        path = self.folder / "asked"
        path.write_text(f"{text}\n")
        done = subprocess.run(
            ["ssh-keygen", option, "-f", str(path)], check=True, capture_output=True, text=True
        )
        return path.read_text() if option == "-H" else done.stdout

    def file(self, text: str) -> str:
        """The path of a file with it."""
        path = self.folder / "pins"
        path.write_text(text)
        return str(path)


class Form(NamedTuple):
    """A way to pin; `code`: what `doctor` ends with, `says`: what stands in its words then."""

    name: str
    pins: Callable[[Keys], str]
    code: int = 0
    says: str = ""
    env: dict[str, str] = {}  # noqa: RUF012 - never changed


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _damaged(k: Keys) -> str:
    kind, key = k.ours.split()
    return f"{k.name} {kind} {key[:20]}!{key[20:]}"


NEW = {"SSH_HOST_KEY_CHECKING": "accept-new"}
REVOKED = "pinned as revoked"
NEITHER = "is neither `host type key` nor"
FORMS = (
    Form("line", lambda k: k.line),
    Form("line with a comment", lambda k: f"{k.line} root@the server, from `hosts`"),
    Form("bare key", lambda k: k.ours),
    Form("file of the server", lambda k: f"{k.ours} root@server\n"),
    Form("fingerprint", lambda k: k.print(k.ours)),
    Form("fingerprint without its prefix", lambda k: k.print(k.ours).partition(":")[2]),
    Form("fingerprint with padding", lambda k: f"{k.print(k.ours)}="),
    Form("ssh-keygen -lf", lambda k: k.keygen("-l", k.ours)),
    Form("hashed", lambda k: k.keygen("-H", k.line)),
    Form("several names", lambda k: f"dokku.example.com,{k.name},192.0.2.7 {k.ours}"),
    Form("pattern", lambda k: f"[127.0.0.*]:* {k.ours}"),
    Form("pattern that excludes another", lambda k: f"!dokku.example.com,* {k.ours}"),
    Form("comments and blank lines", lambda k: f"# of the server\n\n{k.line}\n  # end\n"),
    Form("CRLF", lambda k: f"# of the server\r\n{k.line}\r\n"),
    Form("CR", lambda k: f"# of the server\r{k.line}\r"),
    Form("literal \\n", lambda k: f"# of the server\\n{k.line}\\n"),
    Form("byte order mark", lambda k: f"\ufeff{k.line}"),
    Form("tabs", lambda k: k.line.replace(" ", "\t")),
    Form("blanks around", lambda k: f"  {k.line}  \n"),
    Form("base64", lambda k: _encoded(f"{k.line}\n")),
    Form("base64 of CRLF", lambda k: _encoded(f"{k.line}\r\n")),
    Form("file", lambda k: k.file(f"{k.line}\n")),
    Form("alias of the setting", lambda _k: "", env={"SSH_KNOWN_HOSTS": "{line}"}),
    Form("with another host's", lambda k: f"other.example.com {k.strange}\n{k.line}"),
    Form("with an older one", lambda k: f"{k.name} {k.strange}\n{k.line}"),
    Form("with a newer one", lambda k: f"{k.line}\n{k.name} {k.strange}"),
    Form("with another fingerprint", lambda k: f"{k.print(k.strange)}\n{k.print(k.ours)}"),
    Form(
        "with its other types", lambda k: "\n".join(f"{k.name} {it}" for it in (*k.others, k.ours))
    ),
    Form("with its other types' prints", lambda k: "\n".join(map(k.print, (*k.others, k.ours)))),
    Form("with another that is revoked", lambda k: f"@revoked * {k.strange}\n{k.line}"),
    Form("revoked for another host", lambda k: f"@revoked other.example.com {k.ours}\n{k.line}"),
    Form("line and accept-new", lambda k: k.line, env=NEW),
    Form("nothing and accept-new", lambda _k: "", says="was not checked", env=NEW),
    Form("without its port", lambda k: f"127.0.0.1 {k.ours}"),  # ssh looks for that, too
    # --- refused ---
    Form("nothing", lambda _k: "", 12, "no host key is pinned"),
    Form("wrong line", lambda k: f"{k.name} {k.strange}", 12, BETWEEN),
    Form("wrong fingerprint", lambda k: k.print(k.strange), 12, BETWEEN),
    Form("wrong hashed line", lambda k: k.keygen("-H", f"{k.name} {k.strange}"), 12, BETWEEN),
    Form("wrong bare key", lambda k: k.strange, 12, BETWEEN),
    Form("wrong line and accept-new", lambda k: f"{k.name} {k.strange}", 12, BETWEEN, NEW),
    Form("wrong fingerprint and accept-new", lambda k: k.print(k.strange), 12, BETWEEN, NEW),
    Form(
        "only other types",
        lambda k: f"{k.name} {k.others[0]}",
        12,
        "a key of another type is pinned",
    ),
    Form(
        "only other types' print",
        lambda k: k.print(k.others[0]),
        12,
        "but the pinned key is SHA256",
    ),
    Form("of another port", lambda k: f"[127.0.0.1]:1 {k.ours}", 12, "pinned for [127.0.0.1]:1,"),
    Form("of another host", lambda k: f"example.com {k.ours}", 12, "pinned for example.com, but"),
    Form("of another host, accept-new", lambda k: f"x.test {k.ours}", 12, "for x.test, but", NEW),
    Form("excluded", lambda k: f"*,!{k.name},!127.0.0.1 {k.ours}", 12, "pinned for *,![127"),
    Form("revoked", lambda k: f"@revoked * {k.ours}", 12, REVOKED),
    Form("revoked and accept-new", lambda k: f"@revoked * {k.ours}", 12, REVOKED, NEW),
    Form("revoked and pinned", lambda k: f"{k.line}\n@revoked * {k.ours}", 12, REVOKED),
    Form(
        "revoked by name, and its print is pinned",
        lambda k: f"@revoked {k.line}\n{k.print(k.ours)}",
        12,
        REVOKED,
    ),
    Form(
        "revoked by its hashed name, and pinned",
        lambda k: f"@revoked {k.keygen('-H', k.line).strip()}\n{k.line}",
        12,
        REVOKED,
    ),
    Form("as an authority", lambda k: f"@cert-authority {k.line}", 12, "(certificate authority)"),
    # --- not even tried ---
    Form("commented out", lambda k: f"# {k.line}", 2, "neither a known_hosts line nor"),
    Form("a letter is damaged", _damaged, 2, NEITHER),
    Form("cut off", lambda k: k.line[: len(k.name) + 20], 2, NEITHER),
    Form("another marker", lambda k: f"@trusted {k.line}", 2, "@trusted is not a marker"),
    Form("marker in capitals", lambda k: f"{k.line}\n@REVOKED * {k.ours}", 2, "is not a marker"),
    Form(
        "of another type than it says",
        lambda k: f"{k.name} ssh-dss {k.ours.split()[1]}",
        2,
        NEITHER,
    ),
    Form("private key", lambda k: k.server.private_key, 2, "it belongs in SSH_PRIVATE_KEY"),
    Form("MD5", lambda k: f"256 MD5:{':'.join(['ab'] * 16)} root@x ({k.kind})", 2, "MD5"),
)
# Other ways to write the same: what a server has makes no difference to them.
WRITTEN = {
    "line with a comment", "file of the server", "fingerprint without its prefix",
    "fingerprint with padding", "ssh-keygen -lf", "comments and blank lines", "CRLF", "CR",
    "literal \\n", "byte order mark", "tabs", "blanks around", "base64", "base64 of CRLF", "file",
    "alias of the setting",
}  # fmt: skip


def forms(kind: str, *, alone: bool) -> list[Form]:
    """Those to try on a server that has a key of this type alone, or one of each type. How they are
    written is tried once."""
    if alone and kind == KEY_TYPES[0]:
        return list(FORMS)
    found = [form for form in FORMS if form.code != 2 and form.name not in WRITTEN]
    return [form for form in found if alone or not form.name.startswith("only other types")]


# The server has a certificate, too: of the authority, for this host and today.
CERTIFIED = (
    Form("authority for all", lambda k: f"@cert-authority * {k.authority}"),
    Form("authority for the host", lambda k: f"@cert-authority {k.name} {k.authority}"),
    Form(
        "authority, hashed",
        lambda k: f"@cert-authority {k.keygen('-H', f'{k.name} {k.authority}')}",
    ),
    Form(
        "authority, CRLF", lambda k: f"# ours\r\n@cert-authority * {k.authority} ca@example.com\r\n"
    ),
    Form("plain line", lambda k: k.line),
    Form("plain print", lambda k: k.print(k.ours)),
    Form("another authority and the line", lambda k: f"@cert-authority * {k.strange}\n{k.line}"),
    Form(
        "another authority and the print",
        lambda k: f"@cert-authority * {k.strange}\n{k.print(k.ours)}",
    ),
    Form("another authority", lambda k: f"@cert-authority * {k.strange}", 12, "authority"),
    Form("for another host", lambda k: f"@cert-authority x.test {k.authority}", 12, "host key"),
    Form("its key as a host's", lambda k: f"{k.name} {k.authority}", 12, "host key"),
    Form("its print", lambda k: k.print(k.authority), 12, BETWEEN),
    Form(
        "authority that is revoked",
        lambda k: f"@cert-authority * {k.authority}\n@revoked * {k.authority}",
        12,
        "host key",
    ),
    Form(
        "certified key that is revoked",
        lambda k: f"@cert-authority * {k.authority}\n@revoked * {k.ours}",
        12,
        REVOKED,
    ),
)
# Certificates that nobody may believe: what ssh-keygen is told, and why not.
BAD_CERTIFICATES = {
    "of another host": ("-h", "-n", "example.com"),
    "over": ("-h", "-n", "127.0.0.1", "-V", "20200101:20210101"),
    "not yet": ("-h", "-n", "127.0.0.1", "-V", "20990101:20990201"),
    "of another authority": ("-h", "-n", "127.0.0.1"),
}


def show(server: DokkuStandIn, aside: Path, kinds: tuple[str, ...] = KEY_TYPES) -> None:
    """Let it have host keys of these types only, and no certificate."""
    folder = server.sshd_log.parent
    aside.mkdir(exist_ok=True)
    for kind in KEY_TYPES:
        (folder / f"host_{kind}-cert.pub").unlink(missing_ok=True)
        here, there = folder / f"host_{kind}", aside / f"host_{kind}"
        if kind in kinds and there.exists():
            shutil.move(there, here)
        elif kind not in kinds and here.exists():
            shutil.move(here, there)
    server.restart_sshd()


def certify(server: DokkuStandIn, authority: Path, kind: str, *options: str) -> None:
    """Give it a certificate."""
    key = server.sshd_log.parent / f"host_{kind}.pub"
    argv = [*KEYGEN, "-s", str(authority), "-I", "host", *options, str(key)]
    subprocess.run(argv, check=True, capture_output=True)
    server.restart_sshd()
