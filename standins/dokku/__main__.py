"""Run the stand-in by hand: `python3 -m standins.dokku --port 0 --state DIR`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from .server import DokkuStandIn


def main() -> int:
    """Run until a signal comes."""
    parser = argparse.ArgumentParser(prog="standins.dokku", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory; may be new")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--hostname", default="127.0.0.1", help="name by which clients reach it")
    parser.add_argument("--user", default="", help="user to connect as; default: yourself")
    parser.add_argument("--dokku-version", default="0.38.27")
    parser.add_argument("--delay", type=float, default=0.15, help="seconds per command")
    parser.add_argument("--build-seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    standin = DokkuStandIn(
        arguments.state,
        port=arguments.port,
        user=arguments.user,
        bind=arguments.bind,
        hostname=arguments.hostname,
        version=arguments.dokku_version,
        delay=arguments.delay,
        build_seconds=arguments.build_seconds,
    )
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: received.append(caught))
    with standin:
        describe(standin)
        while not received:
            time.sleep(0.1)
    return 0


def describe(standin: DokkuStandIn) -> None:
    """Print what a client needs."""
    print(f"user: {standin.user}")
    print(f"host: {standin.host}")
    print(f"port: {standin.port}")
    print(f"key: {standin.private_key_path}")
    for kind, text in standin.fingerprints.items():
        print(f"fingerprint: {kind} {text}")
    for line in standin.known_hosts.splitlines():
        print(f"known_hosts: {line}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
