"""A certificate authority of the test's own, and a certificate for 127.0.0.1."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def make(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The authority's certificate, and what a server needs."""
    folder.mkdir(parents=True, exist_ok=True)
    key, ca, request, cert = (folder / n for n in ("key.pem", "ca.pem", "csr.pem", "cert.pem"))
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"]
    if cert.is_file():
        return ca, _context(cert, key)
    run = {"check": True, "capture_output": True}
    authority = folder / "ca-key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", *new, "-days", "2", "-subj", "/CN=test authority",
         "-keyout", authority, "-out", ca], **run,
    )  # type: ignore[call-overload]  # fmt: skip
    subprocess.run(
        ["openssl", "req", *new, "-subj", "/CN=rendezvous", "-keyout", key, "-out", request], **run
    )  # type: ignore[call-overload]
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", authority, "-days", "2",
         "-CAcreateserial", "-extfile", names, "-out", cert], **run,
    )  # type: ignore[call-overload]  # fmt: skip
    return ca, _context(cert, key)


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
