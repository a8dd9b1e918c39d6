"""A client that never pauses, run on a Docker host: eight connections to each port until it is told
to stop, kept and not, GET and POST, fast and slow. Prints a line of JSON for each port."""

import http.client
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

asked: Counter[str] = Counter()
failed: Counter[str] = Counter()
last: dict[str, float] = {}  # when one was answered
away: dict[str, float] = {}  # the longest that none was, in seconds
why: dict[str, Counter[str]] = {}


def ask(port: str, number: int, stop: Path) -> None:
    """One connection after the other, or the same for ever."""
    post, keep, slow = number % 2, number % 4 < 2, number > 5
    method, connection = "POST" if post else "GET", None
    while not stop.exists():
        asked[port] += 1
        try:
            connection = connection or http.client.HTTPConnection(
                "127.0.0.1", int(port), timeout=30
            )
            headers = {} if keep else {"Connection": "close"}
            body = b"x" * 100 if post else None
            connection.request(method, "/slow" if slow else "/", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, f"{answer.status} {text[:100]!r}"
            now = time.monotonic()
            away[port], last[port] = max(away[port], now - last[port]), now
            if not keep or answer.will_close:
                connection.close()
                connection = None
        except Exception as error:  # noqa: BLE001 - whatever it is, a client has seen it
            failed[f"{method} {port}"] += 1
            why[port][f"{method} {'kept' if keep else 'new'}: {error!r}"] += 1
            connection = None
        time.sleep(0.05)


def main(stop: str, *ports: str) -> None:
    """All of them at once."""
    for port in ports:
        last[port], away[port], why[port] = time.monotonic(), 0.0, Counter()
    threads = [
        threading.Thread(target=ask, args=(port, number, Path(stop)))
        for port in ports
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for port in ports:
        gets, posts = failed[f"GET {port}"], failed[f"POST {port}"]
        print(json.dumps([port, asked[port], gets, posts, away[port], dict(why[port])]))


main(*sys.argv[1:])
