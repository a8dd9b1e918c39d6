"""A deploy in a network namespace of its own that logs each packet: python -m tests.hostile.outside
FOLDER, started by `unshare --net`.

Beside the loopback device there is one with default routes that leads nowhere: who sends anything
to the outside is seen there. Prints JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.sentry import ORG, TOKEN, sentry
from standins.support import Checkout, Run, settings_for
from standins.webhooks import webhooks

NETWORK = """
ip link set lo up
ip link add out type veth peer name seen
ip addr add 192.0.2.1/24 dev out
ip -6 addr add 2001:db8::1/64 dev out nodad
ip link set out up
ip link set seen up
ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:01 dev out
ip -6 neigh add 2001:db8::fe lladdr 02:00:00:00:00:01 dev out
ip route add default via 192.0.2.254
ip -6 route add default via 2001:db8::fe
"""
IPV4, IPV6, EVERYTHING = 0x0800, 0x86DD, 3
TCP, UDP = 6, 17
STRAYS = (("198.51.100.7", 53), ("2001:db8:1::7", 53))  # whom the log has to show


class Packet(NamedTuple):
    """One that was sent, with both ports; 0 for what has none."""

    device: str
    source: str
    target: str
    ports: tuple[int, int]


def _parsed(device: str, kind: int, data: bytes) -> Packet | None:
    """None for what the kernel says to its neighbours."""
    if kind == IPV4 and len(data) >= 20:
        protocol, addresses, rest = data[9], (data[12:16], data[16:20]), data[(data[0] & 15) * 4 :]
    elif kind == IPV6 and len(data) >= 40 and data[6] in {TCP, UDP}:
        protocol, addresses, rest = data[6], (data[8:24], data[24:40]), data[40:]
    else:
        return None
    has_ports = protocol in {TCP, UDP}
    ports = (int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])) if has_ports else (0, 0)
    source, target = (str(ip_address(each)) for each in addresses)
    return Packet(device, source, target, ports)


@contextmanager
def log() -> Iterator[list[Packet]]:
    """All packets that arrive at a device of this namespace."""
    found, ended = list[Packet](), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERYTHING)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 2**20)
        tap.settimeout(0.2)

        def read() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    data, (device, kind, way, *_) = tap.recvfrom(65536)
                    packet = _parsed(device, kind, data)
                    if packet and way != socket.PACKET_OUTGOING:
                        found.append(packet)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield found
            time.sleep(0.5)
        finally:
            ended.set()
            reader.join()


def _deploy(folder: Path) -> tuple[int, str, set[int]]:
    """Its exit code, what it said, and the ports of those to whom it was to speak."""
    checkout = Checkout(folder / "checkout", {"Procfile": "worker: sleep 600\n"})
    with DokkuStandIn(folder / "dokku", delay=0.0, checks_wait=0.0) as dokku:
        Client(dokku, folder / "home", multiplex=False).dokku("apps:create hello")
        with sentry() as server, webhooks() as hook:
            env = settings_for(
                dokku, MATTERMOST_WEBHOOK_URL=hook.url, SENTRY_AUTH_TOKEN=TOKEN,
                SENTRY_URL=server.url, SENTRY_ORG=ORG, SENTRY_PROJECT="web",
                DEPLOY_ENVIRONMENT="staging",
            )  # fmt: skip
            done = Run("deploy", cwd=checkout.path, env=env).done(timeout=300)
            told = bool(server.short and hook.requests)
        ports = {dokku.port, *(urlsplit(url).port or 0 for url in (server.url, hook.url))}
    said = f"{done.output}{done.errors}"
    return done.code, said if told else f"nobody was told: {said}", ports


def main(folder: Path) -> None:
    """Deploy, then let two packets stray."""
    for line in NETWORK.strip().splitlines():
        subprocess.run(line.split(), check=True)
    with log() as packets:
        code, said, ports = _deploy(folder)
    strangers = [packet for packet in packets if not ports & {*packet.ports}]
    with log() as shown:
        for address, port in STRAYS:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as stray:
                stray.sendto(b"x", (address, port))
    seen = [address for address, port in STRAYS if any(port in each.ports for each in shown
            if each.target == address)]  # fmt: skip
    found = {
        "code": code,
        "said": said,
        "count": len(packets),
        "strangers": strangers,
        "seen": seen,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    main(Path(sys.argv[1]))
