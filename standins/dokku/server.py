"""The stand-in as a whole: `with DokkuStandIn(directory) as dokku: …`."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from pathlib import Path
from typing import Self

from . import faults, fork_server, processes, recording, transport
from .faults import Fault
from .model import Service, Settings
from .recording import Call
from .sshd import KEY_TYPES, Sshd, fingerprint, make_keys
from .state import Store
from .view import AppView


class DokkuStandIn:
    """A stand-in modelled on Dokku 0.38's documented behaviour, on 127.0.0.1.

    `settings` are those of `model.Settings`: `version`, `delay`, `build_seconds`, `plugins`, …
    """

    def __init__(
        self,
        state: Path,
        *,
        port: int = 0,
        user: str = "",
        max_startups: str = "100:30:200",
        max_sessions: int = 100,
        **settings: object,
    ) -> None:
        self.root = state.resolve()
        self.store = Store(self.root)
        self.user = user or pwd.getpwuid(os.getuid()).pw_name
        self._settings = Settings().changed(settings)
        self._ssh = self.root / "ssh"
        self._sshd = Sshd(
            self._ssh,
            self._settings.bind,
            port,
            max_startups=max_startups,
            max_sessions=max_sessions,
        )

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start sshd; the state directory may be new or that of an earlier run."""
        for name in ("apps", "bin", "builds", "hooks", "services", "ssh"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.store.write_settings(self._settings)
        make_keys(self._ssh)
        self._launcher("bin/dokku", "shell", '"$@"')
        self._launcher("hooks/pre-receive", "receive")
        path = self.root / "hooks/pre-receive"
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
        path.write_text(f"{first}\n{transport.HOOK}{rest}", encoding="utf-8")
        (self._ssh / "authorized_keys").touch()
        self.authorize((self._ssh / "client.pub").read_text(encoding="utf-8"))
        if self.user != pwd.getpwuid(os.getuid()).pw_name:
            self._give_away()
        self._sshd.start()

    def restart_sshd(self) -> None:
        """Let it read its files anew: a host certificate may have been put there."""
        self._sshd.stop()
        self._sshd.start()

    def stop(self) -> None:
        """End everything that was started here, and only that."""
        self._sshd.stop()
        processes.stop_all(self.root)

    @property
    def host(self) -> str:
        """Return the address to connect to."""
        return self._settings.hostname

    @property
    def port(self) -> int:
        """Return sshd's port."""
        return self._sshd.port

    @property
    def sshd_log(self) -> Path:
        """Return sshd's own log, with its `Connection from` and `Accepted publickey` lines."""
        return self._sshd.log

    @property
    def private_key_path(self) -> Path:
        """Return a private key that may connect; `private_key` is its text."""
        return self._ssh / "client"

    @property
    def private_key(self) -> str:
        """Return the text of a private key that may connect."""
        return self.private_key_path.read_text(encoding="utf-8")

    @property
    def known_hosts(self) -> str:
        """Return the lines that belong into a client's known_hosts."""
        keys = [(self._ssh / f"host_{kind}.pub").read_text(encoding="utf-8") for kind in KEY_TYPES]
        return "".join(f"[{self.host}]:{self.port} {' '.join(key.split()[:2])}\n" for key in keys)

    @property
    def known_hosts_path(self) -> Path:
        """Return a file with `known_hosts`."""
        path = self._ssh / "known_hosts"
        path.write_text(self.known_hosts, encoding="utf-8")
        return path

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return the host keys' fingerprints: `{"ed25519": "SHA256:…", …}`."""
        return {kind: fingerprint(self._ssh / f"host_{kind}.pub") for kind in KEY_TYPES}

    def git_url(self, app: str) -> str:
        """Return the address to push to."""
        return f"ssh://{self.user}@{self.host}:{self.port}/{app}"

    def authorize(self, public_key: str, name: str = "admin", *, forced: bool = True) -> None:
        """Let a key connect.

        With `forced=False` as if it had been put into authorized_keys by hand instead of with
        `ssh-keys:add`: without the forced command every Dokku command is "command not found".
        """
        ours = self.user == pwd.getpwuid(os.getuid()).pw_name
        served = [*fork_server.client(), str(self.root)] if ours and fork_server.client() else []
        command = shlex.join([*(served or [str(self.root / "bin/dokku")]), name])
        quoted = command.replace("\\", "\\\\").replace('"', '\\"')
        options = "no-agent-forwarding,no-user-rc,no-X11-forwarding,no-port-forwarding"
        line = f'command="{quoted}",{options} {public_key}' if forced else public_key
        path = self._ssh / "authorized_keys"
        known = path.read_text(encoding="utf-8").splitlines()
        if line.strip() not in known:
            path.write_text("\n".join([*known, line.strip()]) + "\n", encoding="utf-8")

    def configure(self, **settings: object) -> None:
        """Change settings while it runs, for example `version="0.33.9"`."""
        self._settings = self._settings.changed(settings)
        self.store.write_settings(self._settings)

    def image(self, name: str, directory: Path) -> None:
        """Register what is in an image, for `git:from-image`."""
        self.configure(images={**self._settings.images, name: str(directory)})

    def faults(self, *wanted: Fault) -> None:
        """Replace the faults; without arguments nothing goes wrong any more."""
        faults.write(self.root, wanted)

    def struck(self, fault: Fault) -> bool:
        """Return whether a fault that is limited by `times` has happened."""
        return faults.struck(self.root, fault)

    def calls(self, since: int = 0) -> list[Call]:
        """Return the remote commands so far; with `since` those after `noted()` was that."""
        return recording.read(self.root, since)

    def noted(self) -> int:
        """Return how much is noted of them so far: to ask for the later ones only is cheap."""
        return recording.size(self.root)

    def unknown(self) -> list[str]:
        """Return the commands that are not modelled; a test should fail when there are any."""
        return [call.raw for call in self.calls() if call.unknown]

    def connections(self) -> list[int]:
        """Return the client's port of each TCP connection that sshd saw."""
        return self._sshd.connections()

    def app(self, name: str) -> AppView:
        """Return a view of an app, which need not exist."""
        return AppView(self.store, name)

    def apps(self) -> list[str]:
        """Return the names of all apps."""
        return self.store.app_names()

    def services(self, kind: str) -> dict[str, Service]:
        """Return the services of a type, by name."""
        return {service.name: service for service in self.store.services(kind)}

    def _launcher(self, path: str, module: str, arguments: str = "") -> None:
        command = processes.python(module, str(self.root))
        text = f"#!/bin/sh\nexec {shlex.join(command)} {arguments}\n"
        (self.root / path).write_text(text, encoding="utf-8")
        (self.root / path).chmod(0o755)

    def _give_away(self) -> None:
        for path in (self.root, *self.root.rglob("*")):
            if path.parent != self._ssh:
                shutil.chown(path, self.user)


__all__ = ["AppView", "Call", "DokkuStandIn", "Fault"]
