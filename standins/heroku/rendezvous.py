"""One-off dynos: TLS rendezvous, and the command itself, run by a real shell.

Facts: connect to the `attach_url`, send its path and CRLF, get `rendezvous` and CRLF, then output;
what is sent goes to the command's stdin. The process starts with the dyno, attached or not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standins.heroku.model import App, Dyno, new_id
from standins.heroku.platform import Platform


@dataclass
class Wire:
    """How the connection of the next one-off dynos behaves."""

    banner_waits: float = 0.0  # seconds; then it comes together with output
    split: bool = False  # each byte in a record of its own
    cut: Callable[[bytes], int | None] = lambda _output: None  # where to break off
    how: str = "rst"  # how it breaks off: rst, fin (without close_notify), clean, silent
    stays_open: bool = False  # after the command's end
    survives: bool = False  # the command goes on when its user has left
    refuses: bool = False  # nobody is there


@dataclass
class _Running:
    dyno: Dyno
    secret: str
    process: subprocess.Popen[bytes]
    wire: Wire


class Rendezvous:
    """Where one-off dynos and their users meet."""

    def __init__(self, platform: Platform, context: ssl.SSLContext, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        self.wire = Wire()
        self.executed: list[str] = []  # commands of dynos that were started
        self.stopped: list[str] = []  # names of dynos that were stopped by the API
        self._context = context
        self._running: list[_Running] = []
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def start(self, app: App, body: dict[str, Any]) -> tuple[Dyno, str]:
        """Start a one-off dyno and its command."""
        self.folder.mkdir(exist_ok=True)
        self._unpack(app)
        number = 1000 + len(self.executed)
        dyno = self.platform.dyno(app, f"run.{number}", "run", body["command"])
        app.dynos.append(dyno)
        process = subprocess.Popen(
            ["/bin/sh", "-c", body["command"]],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "DYNO": dyno.name, **app.config},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = _Running(dyno, new_id(), process, self.wire)
        self.executed.append(body["command"])
        self._running.append(running)
        self._begin(self._reap, app, running)
        port = 9 if self.wire.refuses else self.port
        return dyno, f"rendezvous://127.0.0.1:{port}/{running.secret}"

    def _begin(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _unpack(self, app: App) -> None:
        """The code of the release, as far as it came by a push."""
        repository = self.platform.folder / f"{app.name}.git"
        argv = [
            "git",
            "-C",
            str(repository),
            "--work-tree",
            str(self.folder),
            "checkout",
            "--force",
        ]
        argv += [app.running_revision or "HEAD", "--", "."]
        subprocess.run(argv, capture_output=True, check=False)

    def stop(self, app: App, name: str) -> bool:
        """Stop one by its name."""
        for each in self._running:
            if each.dyno.name == name and each.dyno in app.dynos:
                self.stopped.append(name)
                _kill(each.process)
                each.process.wait()  # the reaper may notice late on a busy machine
                return True
        return False

    def close(self) -> None:
        """Nobody is left."""
        self._socket.close()
        for each in self._running:
            _kill(each.process)
            each.process.wait()
        for thread in self._threads:
            thread.join(2)
        for each in self._running:
            for pipe in (each.process.stdin, each.process.stdout):
                with contextlib.suppress(OSError):  # what nobody has read
                    pipe.close()  # type: ignore[union-attr]

    @property
    def alive(self) -> list[str]:
        """The one-off dynos whose command still runs."""
        return [each.dyno.name for each in self._running if each.process.poll() is None]

    def _reap(self, app: App, running: _Running) -> None:
        running.process.wait()
        _kill(running.process)  # a dyno ends with its process, and takes all others along
        with self.platform.lock, contextlib.suppress(ValueError):
            app.dynos.remove(running.dyno)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._socket.accept()
                self._begin(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        running = None
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            client = self._context.wrap_socket(plain, server_side=True)
            secret = b""
            while not secret.endswith(b"\r\n"):
                if not (byte := client.recv(1)):
                    return
                secret += byte
            wanted = secret.decode().strip()
            running = next((each for each in self._running if each.secret == wanted), None)
            if running is not None:
                with client:
                    self._talk(_Line(client), running)
        if running is not None and not running.wire.survives:
            _kill(running.process, signal.SIGHUP)  # the user has left

    def _talk(self, line: _Line, running: _Running) -> None:
        process, wire = running.process, running.wire
        assert process.stdout is not None
        self._begin(self._listen, line, running)
        ready, output = b"rendezvous\r\n", b""
        if wire.banner_waits:
            time.sleep(wire.banner_waits)
        else:
            line.send(ready, split=False)
            ready = b""
        while data := os.read(process.stdout.fileno(), 65536):
            output += data
            at = wire.cut(output)
            if at is not None:
                start = len(output) - len(data)
                line.send(ready + data[: max(0, at - start)], split=wire.split)
                return line.break_off(wire.how, self.platform.ended)
            line.send(ready + data, split=wire.split)
            ready = b""
        process.wait()
        if wire.stays_open:
            self.platform.ended.wait(60)
        return line.break_off("clean", self.platform.ended)

    @staticmethod
    def _listen(line: _Line, running: _Running) -> None:
        """Hand on what is sent."""
        process = running.process
        assert process.stdin is not None
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            while process.poll() is None:
                data = line.receive()
                if data is None:
                    time.sleep(0.005)
                    continue
                if not data:
                    break
                process.stdin.write(data)
                process.stdin.flush()
            if process.poll() is None and not running.wire.survives:
                _kill(process, signal.SIGHUP)


class _Line:
    """A connection that one thread reads and another writes and ends.

    Each takes the lock: OpenSSL reads by the number of the descriptor, and once the connection is
    closed, that may be the next one's.
    """

    def __init__(self, client: ssl.SSLSocket) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._over = False
        client.setblocking(False)

    def receive(self) -> bytes | None:
        """What has come; None when nothing has. Raises OSError when the connection is over."""
        with self._lock:
            if self._over:
                raise OSError
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return self._client.recv(65536)
        return None

    def send(self, data: bytes, *, split: bool) -> None:
        """Send it, byte by byte if it is to be `split`."""
        parts = [data[i : i + 1] for i in range(len(data))] if split else [data]
        for part in parts:
            left = memoryview(part)
            while left:
                try:
                    with self._lock:
                        left = left[self._client.send(left) :]
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    time.sleep(0.002)

    def break_off(self, how: str, ended: threading.Event) -> None:
        """End the connection in this way."""
        if how == "silent":
            ended.wait(120)
        client = self._client
        with self._lock:
            self._over = True
            if how == "clean":
                with contextlib.suppress(OSError, ssl.SSLError, ValueError):
                    client.settimeout(1.0)
                    client.unwrap()
            if how == "rst":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()


def _kill(process: subprocess.Popen[bytes], signum: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)
