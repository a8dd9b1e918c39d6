"""A door of TLS in front of a server: with a bad certificate, an old version or a broken handshake.

with Door(folder, "127.0.0.1", 8000) as door: door.fault = Fault.EXPIRED; … door.url …
Certificates come from an authority of the test's own (`CA_BUNDLE`), made by openssl.
"""

from __future__ import annotations

import contextlib
import enum
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Self

BLOCK = 65536
NEW = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"]
CONFIG = """
[ca]
default_ca = ours
[ours]
database = {0}/index
new_certs_dir = {0}
serial = {0}/serial
certificate = {0}/ca.pem
private_key = {0}/ca-key.pem
default_md = sha256
policy = any
[any]
commonName = supplied
"""
OURS = "IP:127.0.0.1,DNS:localhost"
NOW = ("20200101000000Z", "20491231000000Z")


class Fault(enum.Enum):
    """What is wrong; the value is what we have to say of it, at the least (a pattern)."""

    GOOD = ""
    EXPIRED = "certificate"
    NOT_YET = "certificate "  # two of an enum must not be equal
    WRONG_NAME = "certificate  "
    SELF_SIGNED = "certificate   "
    UNKNOWN_AUTHORITY = "certificate    "
    OLD_VERSION = "TLS"
    NO_TLS = "TLS "
    GARBAGE = "TLS  "
    CUT = "cut"
    CUT_IN_HELLO = "cut "
    RESET = "reset"
    STALL = "in time|did not answer within"
    STALL_IN_HELLO = "in time|did not answer within "
    SLOW = "in time|did not answer within  "


SILENT = {Fault.STALL, Fault.STALL_IN_HELLO, Fault.SLOW}
DATES = {
    Fault.EXPIRED: ("20200101000000Z", "20210101000000Z"),
    Fault.NOT_YET: ("20480101000000Z", "20491231000000Z"),
}


def authority(folder: Path) -> Path:
    """Make all certificates; the file of the authority that is to be trusted."""
    for name, subject in (("", "/CN=ours"), ("other", "/CN=another")):
        place = folder / name
        place.mkdir(exist_ok=True)
        _openssl("req", "-x509", *NEW, "-days", "9999", "-subj", subject,
                 "-keyout", place / "ca-key.pem", "-out", place / "ca.pem")  # fmt: skip
        (place / "config").write_text(CONFIG.format(place))
        (place / "index").touch()
        (place / "serial").write_text("01\n")
    for fault in Fault:
        place = folder / ("other" if fault is Fault.UNKNOWN_AUTHORITY else "")
        names = "DNS:example.com,IP:192.0.2.7" if fault is Fault.WRONG_NAME else OURS
        key, request, made = (folder / f"{fault.name}.{end}" for end in ("key", "csr", "pem"))
        more = ["-x509", "-days", "9"] if fault is Fault.SELF_SIGNED else []
        _openssl("req", *NEW, *more, "-subj", f"/CN={fault.name}", "-addext",
                 f"subjectAltName={names}", "-keyout", key,
                 "-out", made if more else request)  # fmt: skip
        if not more:
            start, end = DATES.get(fault, NOW)
            extensions = folder / f"{fault.name}.ext"
            extensions.write_text(f"subjectAltName={names}\n")
            _openssl("ca", "-batch", "-config", place / "config", "-in", request, "-out", made,
                     "-startdate", start, "-enddate", end, "-extfile", extensions,
                     "-notext")  # fmt: skip
    return folder / "ca.pem"


def _openssl(*words: str | Path) -> None:
    assert shutil.which("openssl"), "openssl is needed (Debian: apt-get install openssl)"
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _words(data: bytes) -> bytes:
    """What is left without records of a handshake, and alerts, which may be encrypted already."""
    while len(data) > 4 and data[0] in range(0x14, 0x18):
        size = int.from_bytes(data[3:5])
        if data[0] == 0x17 and size > 64:
            break
        data = data[5 + size :]
    return data


class Door:
    """Listens on 127.0.0.1 until the block is left. `told`: what was sent through it in spite of
    its fault; `met`: how often somebody has come since the fault is there."""

    def __init__(self, certificates: Path, host: str, port: int) -> None:
        self.fault, self.told, self.met = Fault.GOOD, b"", 0
        self.when: Callable[[], bool] = lambda: True  # the fault is there
        self._folder, self._target = certificates, (host, port)
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = "127.0.0.1", int(self._listener.getsockname()[1])
        self.url = f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def disarm(self) -> None:
        """All is well from now on."""
        self.fault = Fault.GOOD

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        fault = self.fault if self.when() else Fault.GOOD
        self.met += fault is not Fault.GOOD
        with client, contextlib.suppress(OSError):
            if fault in {Fault.GOOD, Fault.OLD_VERSION} or fault.value.startswith("certificate"):
                with self._context(fault).wrap_socket(client, server_side=True) as talk:
                    if fault is Fault.GOOD:
                        self._pass_on(talk)
                    else:
                        self.told += talk.recv(BLOCK)
            else:
                self._break(client, fault)

    def _context(self, fault: Fault) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            self._folder / f"{fault.name}.pem", self._folder / f"{fault.name}.key"
        )
        if fault is Fault.OLD_VERSION:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    def _break(self, client: socket.socket, fault: Fault) -> None:
        hello = client.recv(BLOCK)
        answer = self._hello(hello) if hello[:1] == b"\x16" else b""
        half = len(answer) // 2
        if fault is Fault.NO_TLS:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif fault is Fault.GARBAGE:
            client.sendall(random.Random(len(hello)).randbytes(512))
        elif fault is Fault.CUT_IN_HELLO:
            client.sendall(answer[:half])
        elif fault is Fault.STALL:
            self._ended.wait(300)
        elif fault is Fault.STALL_IN_HELLO:
            client.sendall(answer[:half])
            self._ended.wait(300)
        elif fault is Fault.SLOW:
            for byte in answer:
                client.sendall(bytes([byte]))
                if self._ended.wait(1):
                    break
        if fault is Fault.RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            client.shutdown(socket.SHUT_WR)
            client.settimeout(1)
            while rest := client.recv(BLOCK):  # what follows a handshake that was none
                self.told += _words(rest)

    def _hello(self, hello: bytes) -> bytes:
        """What a good server would answer."""
        read, write = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = self._context(Fault.GOOD).wrap_bio(read, write, server_side=True)
        read.write(hello)
        with contextlib.suppress(ssl.SSLError):
            talk.do_handshake()
        return write.read()

    def _pass_on(self, talk: ssl.SSLSocket) -> None:
        """A thread for each direction: an SSLSocket must not be used by two at once for reading."""
        with socket.create_connection(self._target) as far:

            def back() -> None:
                with contextlib.suppress(OSError):
                    while data := far.recv(BLOCK):
                        talk.sendall(data)
                with contextlib.suppress(OSError):
                    talk.shutdown(socket.SHUT_RDWR)

            threading.Thread(target=back, daemon=True).start()
            while data := talk.recv(BLOCK):
                far.sendall(data)
            with contextlib.suppress(OSError):
                far.shutdown(socket.SHUT_WR)
            time.sleep(0.05)
