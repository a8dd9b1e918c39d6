"""The pre-receive hook of an app's repository: tells the stand-in what was pushed, and shows what
the build says. Called by git as `python -I -S hook.py HOST PORT /_hook/APP`.

HTTP by hand, over 1.0 so that the answer comes as it is: a hook runs at every push of every test,
and the modules for HTTP take longer to import than all else that happens here.
"""

import json
import os
import socket
import sys

BUILT = ("refs/heads/main", "refs/heads/master")


def show(new: str, name: str) -> str:
    """A file of what was pushed."""
    with os.popen(f"git cat-file blob {new}:{name} 2>/dev/null") as blob:
        return blob.read()


def build(told: bytes) -> int:
    """Let it be built; the exit code is the last line of what is said."""
    host, port, path = sys.argv[1:]
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        head = f"POST {path} HTTP/1.0\r\nContent-Length: {len(told)}\r\n\r\n"
        connection.sendall(head.encode() + told)
        answer = connection.makefile("r", encoding="utf-8")
        while answer.readline().strip():
            pass
        for line in answer:
            if line.startswith("exit "):
                return int(line.split()[1])
            print(line, end="", flush=True)
    return 1


def main() -> int:
    """The hook's exit code decides whether git takes the push."""
    for line in sys.stdin:
        _old, new, ref = line.split()
        if ref not in BUILT:
            print("Pushed to branch other than [main, master], skipping build.", flush=True)
            continue
        if not new.strip("0"):
            print(" !     Push rejected, cannot delete main branch.", flush=True)
            return 1
        told = {"commit": new, "procfile": show(new, "Procfile")}
        return build(json.dumps(told).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
