"""Converts Ed25519 keys from PKCS#8, which OpenSSH reads only since 9.6, to OpenSSH's format.

The public half is computed here (RFC 8032, section 5.1.5), since the file need not contain it.
"""

from __future__ import annotations

import hashlib
import struct

# The bytes before the seed: version 0 or 1, the algorithm 1.3.101.112, OCTET STRING.
PKCS8 = (
    bytes.fromhex("020100300506032b657004220420"),
    bytes.fromhex("020101300506032b657004220420"),
)
P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, P - 2, P) % P
Point = tuple[int, int, int, int]  # extended coordinates: X, Y, Z, T


def seed(pkcs8: bytes) -> bytes | None:
    """The 32 secret bytes of a private Ed25519 key in PKCS#8 (RFC 8410); None for another key."""
    for start in PKCS8:
        at = pkcs8.find(start, 0, 16)
        if pkcs8[:1] == b"\x30" and at > 0 and len(pkcs8) >= at + len(start) + 32:
            return pkcs8[at + len(start) :][:32]
    return None


def openssh(secret: bytes) -> bytes:
    """The body of an OpenSSH private key without a passphrase (PROTOCOL.key in OpenSSH's sources),
    before base64, from the 32 secret bytes."""
    public = public_half(secret)
    named = _field(b"ssh-ed25519") + _field(public)
    private = bytes(8) + named + _field(secret + public) + _field(b"")  # two equal check numbers
    private += bytes(range(1, 1 + -len(private) % 8))
    head = b"openssh-key-v1\0" + _field(b"none") + _field(b"none") + _field(b"")
    return head + struct.pack(">I", 1) + _field(named) + _field(private)


def public_half(secret: bytes) -> bytes:
    """The public key, 32 bytes, that belongs to 32 secret bytes (RFC 8032, section 5.1.5)."""
    digest = bytearray(hashlib.sha512(secret).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    scalar, point = int.from_bytes(digest, "little"), (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point, scalar = _add(point, point), scalar >> 1
    inverse = pow(result[2], P - 2, P)
    x, y = result[0] * inverse % P, result[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _field(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
