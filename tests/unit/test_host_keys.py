"""Pinned host keys: how they may be written, and what is said when they do not fit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ci_deploy.net.ssh.host_key_types import ShownKeys
from ci_deploy.net.ssh.host_keys import HostKeys, Offer, fingerprint, host_keys, mismatch
from ci_deploy.net.ssh.server import Server

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"  # GitHub's
ECDSA = (
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNu"
    "G5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
)
PIN = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
SERVER = Server("dokku.example.com", "dokku")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"example.com ssh-ed25519 {ED25519}", f"example.com ssh-ed25519 {ED25519}"),
        (f"example.com ssh-ed25519 {ED25519} a comment", f"example.com ssh-ed25519 {ED25519}"),
        (f"[example.com]:2222 ssh-ed25519 {ED25519}", f"[example.com]:2222 ssh-ed25519 {ED25519}"),
        (f"|1|salt=|hash= ssh-ed25519 {ED25519}", f"|1|salt=|hash= ssh-ed25519 {ED25519}"),
        (f"ssh-ed25519 {ED25519}", f"* ssh-ed25519 {ED25519}"),
        (f"ecdsa-sha2-nistp256 {ECDSA} root@host", f"* ecdsa-sha2-nistp256 {ECDSA}"),
        (f"@revoked * ssh-ed25519 {ED25519}", f"@revoked * ssh-ed25519 {ED25519}"),
        (f"ssh-gw.example.com ssh-ed25519 {ED25519}", f"ssh-gw.example.com ssh-ed25519 {ED25519}"),
    ],
)
def test_lines_as_openssh_writes_them(text: str, line: str) -> None:
    assert host_keys(text) == HostKeys(lines=(line,))


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\\n", "\n\n# example.com:22 SSH-2.0\n"])
def test_several_lines_with_any_line_ends_and_comments(separator: str) -> None:
    text = separator.join([f"a ssh-ed25519 {ED25519}", f"a ecdsa-sha2-nistp256 {ECDSA}", ""])
    assert len(host_keys(text).lines) == 2


@pytest.mark.parametrize("text", [f"{PIN} {PIN}=", f"{PIN}\n{PIN}", f"  {PIN}\t{PIN}  "])
def test_several_fingerprints(text: str) -> None:
    assert host_keys(text) == HostKeys(fingerprints=(PIN, PIN))


LISTED = f"256 {PIN} root@host with a comment (ED25519)"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (LISTED, 1),
        (f"{LISTED}\n3072 {PIN} no comment (RSA)\n", 2),
        (f"{LISTED} 3072 {PIN} no comment (RSA)", 2),
        (f"256 {PIN} [example.com]:2222 (ED25519-SK)", 1),
    ],
)
def test_what_ssh_keygen_prints_is_taken_as_it_is(text: str, count: int) -> None:
    """The documentation tells to run `ssh-keygen -lf`; also on one line, as CI may store it
    (faults F1)."""
    assert host_keys(text) == HostKeys(fingerprints=(PIN,) * count)


def test_md5_fingerprint_is_refused_with_the_command_that_prints_the_right_one() -> None:
    """Old pages show MD5 (faults F1)."""
    with pytest.raises(ValueError, match=r"line 1 .* MD5 .* `ssh-keygen -E sha256 -lf`"):
        host_keys(f"256 MD5:{':'.join(['ab'] * 16)} root@host (ED25519)")


@pytest.mark.parametrize("line", [f"example.com ssh-ed25519 {ED25519}", PIN, LISTED])
def test_byte_order_mark_before_a_single_line_is_no_part_of_it(line: str) -> None:
    """Windows' editors write one (faults F1)."""
    assert host_keys(f"\ufeff{line}") == host_keys(line)


def test_lines_and_fingerprints_together() -> None:
    pins = host_keys(f"{PIN}\na ssh-ed25519 {ED25519}\n")
    assert (len(pins.lines), len(pins.fingerprints)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("nonsense", 1),
        (f"a ssh-ed25519 {ED25519}\n\nb ssh-ed25519 AAAA", 3),
        (f"a ssh-ed25519 {ED25519}\r\nb ssh-rsa {ED25519}", 2),
        ("SHA256:short", 1),
        (f"SHA1:{PIN[7:]}", 1),
        ("a ssh-ed25519 é", 1),
        ("@revoked", 1),
        ("@revoked *", 1),
        ("a", 1),
    ],
)
def test_wrong_lines_are_named_by_number(text: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"line {number} is neither"):
        host_keys(text)


@pytest.mark.parametrize("marker", ["@revoke", "@Revoked", "@cert-authorities", "@"])
def test_marker_that_ssh_does_not_know_is_refused(marker: str) -> None:
    """It overlooks such a line: what was to be revoked would be let in (faults J6)."""
    with pytest.raises(
        ValueError, match=f"line 2: {marker} is not a marker; the markers are @revoked"
    ):
        host_keys(f"{PIN}\n{marker} * ssh-ed25519 {ED25519}")


@pytest.mark.parametrize("text", ["# only a comment", "\\n"])
def test_nothing_in_it_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="neither a known_hosts line nor a SHA256 fingerprint"):
        host_keys(text)


def test_fingerprint_is_the_one_of_openssh(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(f"ssh-ed25519 {ED25519}\n")
    argv = ["ssh-keygen", "-l", "-f", str(path)]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert fingerprint(ED25519) == shown.split()[1] == PIN


# --- what is said when they do not fit ---

OFFER = Offer("ssh-ed25519", ED25519, PIN)


def test_unpinned_host_key_is_told_with_what_to_compare_and_what_to_set() -> None:
    error = mismatch(SERVER, [OFFER], None)
    assert error.code == 12
    assert error.message == (
        f"dokku.example.com presents the host key {PIN} (ssh-ed25519), and no host key is pinned."
    )
    assert "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`" in error.hint
    assert f"SSH_SERVER_HOSTKEYS='dokku.example.com ssh-ed25519 {ED25519}'" in error.hint


def test_another_key_of_the_same_type_may_be_an_attack() -> None:
    other = "SHA256:" + "A" * 43
    error = mismatch(SERVER, [OFFER], HostKeys(fingerprints=(other,)))
    assert (
        f"but the pinned key is {other}. Somebody may be intercepting the connection."
        in error.message
    )


def test_our_own_key_as_the_servers_is_told_as_such() -> None:
    """dokku/github-action#8: the deploy key's public half in place of the host key. (faults E4)"""
    own = "SHA256:" + "A" * 43
    error = mismatch(SERVER, [OFFER], HostKeys(fingerprints=(own,)), key=own)
    assert "the pinned key is our own: SSH_SERVER_HOSTKEYS is for the server's." in error.message
    assert "intercepting" not in error.message


def test_a_pin_of_another_server_of_the_run_is_not_to_be_replaced() -> None:
    """What the message said unpinned the first host: the next run asked for that. (faults E4)"""
    pins = HostKeys(fingerprints=("SHA256:" + "A" * 43,))
    assert "SSH_SERVER_HOSTKEYS='" in mismatch(SERVER, [OFFER], pins).hint
    assert "add to SSH_SERVER_HOSTKEYS the line" in mismatch(SERVER, [OFFER], pins, among=2).hint


def test_a_fingerprint_without_its_prefix_is_taken_and_a_private_key_is_not() -> None:
    """Copied without the word before the colon, and the two secrets swapped. (faults E4)"""
    assert host_keys(PIN.removeprefix("SHA256:")) == host_keys(PIN)
    with pytest.raises(ValueError, match="it belongs in SSH_PRIVATE_KEY"):
        host_keys("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----")


def test_another_type_is_told_as_such() -> None:
    pins = host_keys(f"a ecdsa-sha2-nistp256 {ECDSA}")
    error = mismatch(SERVER, [OFFER], pins)
    assert "but a key of another type is pinned (ecdsa-sha2-nistp256)." in error.message
    assert "intercepting" not in error.message


def test_fingerprints_of_pinned_lines_are_shown() -> None:
    offer = Offer("ssh-ed25519", ECDSA, "SHA256:x")
    error = mismatch(SERVER, [offer], host_keys(f"a ssh-ed25519 {ED25519}"))
    assert f"but the pinned key is {PIN}." in error.message


def test_a_key_that_was_not_seen_is_told_without_inventing_one() -> None:
    error = mismatch(SERVER, [], None, said="Host key verification failed.")
    assert (error.code, error.hint) == (12, "Run the job again.")
    assert error.message.endswith("could not be checked: Host key verification failed.")
    error = mismatch(SERVER, [], None, said="no matching host key type found. Their offer: ssh-dss")
    assert "HostKeyAlgorithms" in error.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("example.org", "It is pinned for example.org, but we connect to dokku.example.com."),
        ("[dokku.example.com]:2222", "It is pinned for [dokku.example.com]:2222, but we connect"),
        ("192.0.2.7", "It is pinned for 192.0.2.7, but we connect to dokku.example.com."),
        ("|1|salt=|hash=", "It is pinned for another name, which is hashed, but we connect"),
    ],
)
def test_right_key_under_another_name_is_told_as_such(name: str, said: str) -> None:
    """It is no sign of an attack, so nothing of the kind is said (faults F1)."""
    error = mismatch(SERVER, [OFFER], host_keys(f"{name} ssh-ed25519 {ED25519}"))
    assert said in error.message
    assert "intercepting" not in error.message
    assert f"SSH_SERVER_HOSTKEYS='dokku.example.com ssh-ed25519 {ED25519}'" in error.hint


@pytest.mark.parametrize("more", ["", f"\n{PIN}", f"\na ssh-ed25519 {ED25519}"])
def test_revoked_key_is_told_and_never_to_be_pinned(more: str) -> None:
    """Whoever has stolen it would be let in (faults F1, J6)."""
    error = mismatch(SERVER, [OFFER], host_keys(f"@revoked * ssh-ed25519 {ED25519}{more}"))
    assert "pinned as revoked" in error.message
    assert "SSH_SERVER_HOSTKEYS=" not in error.hint
    assert ED25519 not in error.hint


def test_remedy_has_nothing_that_the_log_would_hide() -> None:
    """A line with [REDACTED] in it cannot be pinned (faults J6)."""
    hidden = mismatch(SERVER, [OFFER], None, lambda text: "dokku" not in text)
    assert f"SSH_SERVER_HOSTKEYS='{PIN}'" in hidden.hint
    nothing = mismatch(SERVER, [OFFER], None, lambda _text: False)
    assert nothing.hint.endswith("set SSH_SERVER_HOSTKEYS to the output of that command.")


def test_name_under_which_ssh_looks_is_the_one_to_pin() -> None:
    """SSH_CONFIG may give a host another name and port (faults F1)."""
    error = mismatch(Server("shop", "dokku"), [OFFER._replace(host="[192.0.2.7]:2222")], None)
    assert error.message.startswith("shop (as [192.0.2.7]:2222) presents the host key")
    assert f"SSH_SERVER_HOSTKEYS='[192.0.2.7]:2222 ssh-ed25519 {ED25519}'" in error.hint


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ssh-ed25519", "ed25519"), ("ssh-rsa", "rsa"), ("ecdsa-sha2-nistp256", "ecdsa")],
)
def test_file_on_the_server_is_named(kind: str, name: str) -> None:
    assert Offer(kind, "", "").file == f"/etc/ssh/ssh_host_{name}_key.pub"


def test_line_to_pin_has_the_port_where_it_is_not_the_usual_one() -> None:
    assert OFFER.line(Server("h", "u", 2222)) == f"[h]:2222 ssh-ed25519 {ED25519}"


def test_keys_of_an_earlier_connection_do_not_count(tmp_path: Path) -> None:
    """That one may have come through the jump host, in whose place somebody else is now."""
    shown, seen = tmp_path / "offered", ShownKeys(tmp_path / "offered")
    seen.connecting(SERVER)
    assert seen.last(SERVER) is None
    shown.write_text(f"jump ssh-ed25519 AAAA SHA256:j\n{SERVER.host} ssh-ed25519 BBBB SHA256:s\n")
    assert seen.last(SERVER) == Offer("ssh-ed25519", "BBBB", "SHA256:s", SERVER.host)
    seen.connecting(SERVER)
    with shown.open("a") as file:
        file.write("jump ssh-ed25519 CCCC SHA256:i\n")
    assert seen.last(SERVER) == Offer("ssh-ed25519", "CCCC", "SHA256:i", "jump")
