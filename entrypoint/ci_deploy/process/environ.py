"""The part of our environ that child processes get."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

# Everything else is not passed on: settings, other jobs' secrets, CI tokens.
PASSED_ON = (
    "TZ", "TERM", "LD_PRELOAD", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
)  # fmt: skip


def child_environ(given: Mapping[str, str], folder: Path, *, ca_bundle: str) -> dict[str, str]:
    """The environment variables of which each child gets those that `programs.environ` leaves it (a
    proxy's only if it uses the network): the allowed ones of `given`, a UTF-8 locale, and those
    that point into `folder`, the private directory. `ca_bundle`: the path of a file with CA
    certificates to trust (CA_BUNDLE); empty for the system's. For a user ID without a name, writes
    passwd and group files to `folder`."""
    environ = {name: given[name] for name in PASSED_ON if name in given}
    environ |= {"HOME": str(folder), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    environ["TMPDIR"] = str(folder)
    environ |= _named_user(folder)
    if ca_bundle:
        names = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        environ |= dict.fromkeys(names, ca_bundle)
    return environ


def _named_user(folder: Path) -> dict[str, str]:
    """Variables that give a user id without a name one (`docker run --user 12345`), for ssh."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        passwd = f"ci-deploy:x:{os.getuid()}:{os.getgid()}::{folder}:/bin/sh\n"
        (folder / "passwd").write_text(passwd)
        (folder / "group").write_text(f"ci-deploy:x:{os.getgid()}:\n")
        return {
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": str(folder / "passwd"),
            "NSS_WRAPPER_GROUP": str(folder / "group"),
        }
    return {}
