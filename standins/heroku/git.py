"""Smart HTTP for git, by the real `git http-backend`. The key is the password; the user name is
not looked at."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standins.heroku.handler import Handler


def credentials(header: str) -> tuple[str, str]:
    """User name and password of Basic authentication; empty for none."""
    kind, _, value = header.partition(" ")
    if kind != "Basic":
        return "", ""
    user, _, password = base64.b64decode(value).decode().partition(":")
    return user, password


def serve(
    handler: Handler, path: str, query: str, body: bytes, cut: int | None, *, silent: bool
) -> int:
    """Answer one request of a git client; the status. `cut`: break off after so many bytes, or
    fall `silent`."""
    server = handler.stand_in
    name = path.split("/")[1].removesuffix(".git")
    if not (server.platform.folder / f"{name}.git").is_dir() or name not in server.platform.apps:
        handler.reply(404, b"Repository not found", {"Content-Type": "text/plain"})
        return 404
    headers = {key.lower(): value for key, value in handler.headers.items()}
    environ = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(server.platform.folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": handler.command,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_USER": "heroku",
        "REMOTE_ADDR": "127.0.0.1",
    }
    process = subprocess.Popen(
        ["git", "http-backend"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body)
        process.stdin.close()
        status, told = 200, {}
        while (line := process.stdout.readline().strip()) != b"":
            key, _, value = line.decode().partition(": ")
            if key == "Status":
                status = int(value.split()[0])
            else:
                told[key] = value
        handler.begin(status, told)
        sent = 0
        while data := process.stdout.read1(65536):  # type: ignore[attr-defined]
            if cut is not None and sent + len(data) > cut:
                handler.chunk(data[: cut - sent])
                if silent:
                    server.platform.ended.wait(120)
                handler.reset()
                process.wait()  # what was pushed is built all the same
                return status
            handler.chunk(data)
            sent += len(data)
        handler.chunk(b"")
        return status
    finally:
        with contextlib.suppress(OSError):  # it ended without reading all
            process.stdin.close()
        process.stdout.close()
        process.wait()
