"""Pinned host keys against a real sshd: which are accepted, and what is said of the others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Done, run, settings_for


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout; nothing is deployed here."""
    return Checkout(tmp_path_factory.mktemp("host-keys") / "checkout")


def _doctor(dokku: DokkuStandIn, checkout: Checkout, pins: str, **more: str) -> Done:
    env = settings_for(dokku, SSH_SERVER_HOSTKEYS=pins, **more)
    return run("ci-deploy", "doctor", cwd=checkout.path, env=env)


def _line(dokku: DokkuStandIn, kind: str = "ed25519") -> tuple[str, str, str]:
    """Name, type and key of one host key."""
    for line in dokku.known_hosts.splitlines():
        name, algorithm, key = line.split()
        if kind in algorithm:
            return name, algorithm, key
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_one_pinned_fingerprint_of_any_type_is_enough(
    dokku: DokkuStandIn, checkout: Checkout, kind: str
) -> None:
    """ssh prefers ed25519, and the server has all three (faults J6)."""
    done = _doctor(dokku, checkout, dokku.fingerprints[kind])
    assert done.code == 0, done.output


def test_line_of_ssh_keygen_pins(dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path) -> None:
    """As the documentation tells to get it (faults F1)."""
    path = tmp_path / "key.pub"
    path.write_text(" ".join(_line(dokku, "ecdsa")[1:]) + " root@the server\n")
    argv = ["ssh-keygen", "-lf", str(path)]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    done = _doctor(dokku, checkout, listed)
    assert done.code == 0, done.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dokku.example.com", "pinned for dokku.example.com"),
        ("127.0.0.2", "pinned for 127.0.0.2,"),
        ("[127.0.0.1]:2", "pinned for [127.0.0.1]:2,"),
    ],
)
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_right_key_under_another_name(
    dokku: DokkuStandIn, checkout: Checkout, kind: str, name: str, said: str
) -> None:
    """Also where ssh would ask for a key of another type first (faults F1)."""
    ours, algorithm, key = _line(dokku, kind)
    done = _doctor(dokku, checkout, f"{name} {algorithm} {key}")
    assert done.code == 12
    assert f"{said}" in done.output
    assert f"but we connect to {ours}." in done.output
    assert "intercepting" not in done.output
    assert f"SSH_SERVER_HOSTKEYS='{ours} {algorithm} {key}'" in done.output


def test_hashed_entry_of_another_name(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """(faults F1)"""
    _name, algorithm, key = _line(dokku)
    path = tmp_path / "known_hosts"
    path.write_text(f"example.org {algorithm} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    done = _doctor(dokku, checkout, path.read_text())
    assert done.code == 12
    assert "pinned for another name, which is hashed, but we connect to" in done.output


@pytest.mark.parametrize("more", ["", "fingerprint", "line"])
def test_revoked_key_is_refused_as_such(dokku: DokkuStandIn, checkout: Checkout, more: str) -> None:
    """Also where it is pinned beside that; and never is it said to pin it (faults F1, J6)."""
    name, algorithm, key = _line(dokku)
    beside = {"fingerprint": dokku.fingerprints["ed25519"], "line": f"{name} {algorithm} {key}"}
    pins = f"@revoked * {algorithm} {key}\n{beside.get(more, '')}"
    done = _doctor(dokku, checkout, pins)
    assert done.code == 12
    assert "pinned as revoked" in done.output
    assert "SSH_SERVER_HOSTKEYS=" not in done.output


def _certify(dokku: DokkuStandIn, folder: Path, kind: str) -> str:
    """Give it a certificate for a host key; the authority's public key."""
    authority = folder / "authority"
    keygen = ["ssh-keygen", "-q"]
    subprocess.run([*keygen, "-t", "ed25519", "-N", "", "-f", str(authority)], check=True)
    public = dokku.sshd_log.parent / f"host_{kind}.pub"
    sign = [*keygen, "-s", str(authority), "-I", "host", "-h", "-n", dokku.host, str(public)]
    subprocess.run(sign, check=True)
    dokku.restart_sshd()
    return " ".join(authority.with_suffix(".pub").read_text().split()[:2])


def test_certificate_of_another_authority_does_not_hide_the_pinned_plain_key(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """Of an RSA key ssh asked for the certificate again, and it was said that what is pinned is
    what the server shows (faults J6)."""
    _certify(dokku, tmp_path, "rsa")
    for kind in ("ed25519", "ecdsa"):
        (dokku.sshd_log.parent / f"host_{kind}").unlink()
    dokku.restart_sshd()
    other = " ".join(_line(dokku, "ecdsa")[1:])
    pins = f"@cert-authority * {other}\n{dokku.fingerprints['rsa']}"
    done = _doctor(dokku, checkout, pins)
    assert done.code == 0, done.output


def test_host_certificate_whose_plain_key_is_pinned(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """By its fingerprint or its line, or by its authority (faults F1)."""
    pinned = _certify(dokku, tmp_path, "ed25519")
    authority_line = f"@cert-authority * {pinned}"
    for pins in (dokku.fingerprints["ed25519"], dokku.known_hosts, authority_line):
        done = _doctor(dokku, checkout, pins)
        assert done.code == 0, done.output
    done = _doctor(dokku, checkout, "SHA256:" + "A" * 43)
    assert done.code == 12, done.output
    assert f"SSH_SERVER_HOSTKEYS='{' '.join(_line(dokku))}'" in done.output


def test_remedy_has_nothing_redacted_in_it(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """A secret may be a part of the host's name or of the line (faults J6)."""
    line = " ".join(_line(dokku))
    env = settings_for(dokku, SENTRY_AUTH_TOKEN=line.split()[0])
    del env["SSH_SERVER_HOSTKEYS"]
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
    assert done.code == 12
    assert f"SSH_SERVER_HOSTKEYS='{dokku.fingerprints['ed25519']}'" in done.output
    assert "SSH_SERVER_HOSTKEYS='[REDACTED]" not in done.output
