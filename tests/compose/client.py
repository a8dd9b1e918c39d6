"""A client that never pauses, run on a Docker host: eight connections to each port until it is told
to stop, kept and not, GET and POST. Prints `port requests GETs-failed POSTs-failed why` of each."""

import http.client
import sys
import threading
import time
from collections import Counter
from pathlib import Path

asked: Counter[str] = Counter()
failed: Counter[str] = Counter()
why: dict[str, str] = {}


def ask(port: str, number: int, stop: Path) -> None:
    """One connection after the other, or the same for ever."""
    post, keep, slow = number % 2, number % 4 < 2, number > 5
    connection = None
    while not stop.exists():
        asked[port] += 1
        try:
            connection = connection or http.client.HTTPConnection(
                "127.0.0.1", int(port), timeout=30
            )
            headers = {} if keep else {"Connection": "close"}
            body = b"x" * 100 if post else None
            connection.request("POST" if post else "GET", "/slow" if slow else "/", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, f"{answer.status} {text[:100]!r}"
            if not keep or answer.will_close:
                connection.close()
                connection = None
        except Exception as error:  # noqa: BLE001 - whatever it is, a client has seen it
            failed[f"{'POST' if post else 'GET'} {port}"] += 1
            why[port] = f"{'POST' if post else 'GET'} {'kept' if keep else 'new'}: {error!r}"
            connection = None
        time.sleep(0.05)


def main(stop: str, *ports: str) -> None:
    """All of them at once."""
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
        print(port, asked[port], failed[f"GET {port}"], failed[f"POST {port}"], why.get(port, ""))


main(*sys.argv[1:])
