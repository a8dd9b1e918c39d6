"""What it costs to make a program's output safe: relay and redactor against `grep -vFf`.

Both read the same log of ordinary lines and look for the same needles. CPU time counts, and the
highest memory of this process.

    python -m bench.relay --megabytes 100
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import resource
import string
import subprocess
import tempfile
import time
from pathlib import Path

from ci_deploy.output.redaction import Redactor
from ci_deploy.output.sanitizer import Sanitizer

CHUNK = 64 * 1024  # what the runner reads at once: what a pipe holds
TEXT = string.ascii_letters + string.digits


def secrets(rng: random.Random) -> list[str]:
    """Twenty: two private keys, a webhook's URL, 17 tokens of 20 to 60 characters."""
    hook = f"https://chat.example.com/hooks/{''.join(rng.choices(TEXT.lower(), k=26))}"
    tokens = ["".join(rng.choices(TEXT + "-_.!+/", k=rng.randint(20, 60))) for _ in range(17)]
    return [private_key(rng, "RSA", 2350), private_key(rng, "OPENSSH", 280), hook, *tokens]


def private_key(rng: random.Random, kind: str, size: int) -> str:
    code = base64.b64encode(rng.randbytes(size)).decode()
    lines = [code[at : at + 64] for at in range(0, len(code), 64)]
    return "\n".join(
        [f"-----BEGIN {kind} PRIVATE KEY-----", *lines, f"-----END {kind} PRIVATE KEY-----"]
    )


def line(rng: random.Random, words: list[str]) -> str:
    """About 100 characters, as builds and servers log them."""
    clock = f"2026-11-20T12:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}Z"
    kind = rng.random()
    if kind < 0.02:
        return f"{clock} INFO Pulled registry.example.com/shop/web@sha256:{rng.randbytes(32).hex()}"
    if kind < 0.06:
        return f"  create mode 100644 {'/'.join(rng.choices(words, k=12))}.py"[:100]
    if kind < 0.08:
        return (
            f"{clock} GET https://www.example.com/{'/'.join(rng.choices(words, k=8))} 200 in 31 ms"
        )
    if kind < 0.09:
        return f"{clock} ActiveRecord::Base {' '.join(rng.choices(words, k=12))}"[:100]
    return f"{clock} app[web.1]: {' '.join(rng.choices(words, k=14))}"[:100]


def write_log(path: Path, megabytes: int, rng: random.Random) -> None:
    """The same thousands of lines again and again, in changing order."""
    words = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(3000)]
    lines = [line(rng, words) for _ in range(20_000)]
    with path.open("w") as log:
        while log.tell() < megabytes * 1_000_000:
            rng.shuffle(lines)
            log.write("\n".join(lines) + "\n")
        log.truncate(megabytes * 1_000_000)


def relay_cpu(redactor: Redactor, log: Path, shown: Path) -> float:
    """Seconds of CPU, with making the index, reading and writing."""
    with log.open("rb", buffering=0) as source, shown.open("w") as target:
        start = time.process_time()
        relay = Sanitizer(redactor, lambda lines: print(lines, file=target), prefix="│ ")
        while chunk := os.read(source.fileno(), CHUNK):
            relay.feed(chunk)
        relay.close()
        target.flush()
        return time.process_time() - start


def grep_cpu(redactor: Redactor, log: Path, shown: Path) -> float:
    """Seconds of CPU that grep needs for the same needles and fragments."""
    needles = shown.with_name("needles")
    needles.write_bytes(b"\n".join(sorted(redactor._needles | redactor._fragments)) + b"\n")
    environ = {**os.environ, "LC_ALL": "C"}
    with shown.open("w") as target:  # a file: into /dev/null grep would not look for all lines
        subprocess.run(["grep", "-vFf", needles, log], stdout=target, check=True, env=environ)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """Most resident memory of this process in MB; getrusage would count what forked us, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(megabytes: int) -> dict[str, float]:
    """CPU seconds of both, and the most memory of this process in MB; for a process of its own."""
    rng = random.Random(20261120)
    redactor = Redactor()
    redactor.add(*secrets(rng))
    with tempfile.TemporaryDirectory() as directory:
        log, shown = Path(directory, "log"), Path(directory, "shown")
        write_log(log, megabytes, rng)
        relay, grep = relay_cpu(redactor, log, shown), grep_cpu(redactor, log, shown)
    most = peak()
    needles = len(redactor._needles | redactor._fragments)
    return {"relay": relay, "grep": grep, "memory": most, "needles": needles}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100)
    print(json.dumps(measure(parser.parse_args().megabytes)))
