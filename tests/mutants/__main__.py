"""usage: python -m tests.mutants [WORD…]: those whose name, kind or file contains one of the words.

Ends with 1 when a mutant survives, or can no longer be applied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter

from standins.support import ROOT
from tests.mutants.table import Mutant, load

COPY = ROOT / "build/mutants"
LIMIT, HANGS = 1200.0, 300.0  # seconds for the tests of one mutant; of one that has to hang them


def _copy() -> None:
    """The tree as it is here, with an environment of its own: launchers name their package."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    shutil.rmtree(COPY, ignore_errors=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, COPY / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for words in ["init", "-q"], ["add", "--all"]:
        subprocess.run(["git", *words], cwd=COPY, check=True)
    (COPY / ".tools").symlink_to(ROOT / ".tools")
    # The files are the same ones, since they are many; what differs is made anew.
    shutil.copytree(ROOT / ".venv", COPY / ".venv", symlinks=True, copy_function=os.link)
    for path in (COPY / ".venv").rglob("ci_deploy.pth"):
        path.unlink()
        path.write_text(f"{COPY / 'entrypoint'}\n")
    for path in (COPY / ".venv/bin").iterdir():
        if not path.is_symlink() and path.read_bytes()[:2] == b"#!":
            text = path.read_text().replace(str(ROOT / ".venv"), str(COPY / ".venv"))
            path.unlink()
            path.write_text(text)
            path.chmod(0o755)


def _tests(names: list[str], limit: float) -> tuple[int, str]:
    """Run tests in the copy: pytest's exit code, the last lines."""
    argv = [".venv/bin/python", "-m", "pytest", "-q", "-x", "--no-header", *names]
    with subprocess.Popen(
        argv, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        try:
            output, _ = run.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            run.terminate()
            run.communicate()
            return 1, "hangs"
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return run.returncode, (lines or output.splitlines()[-1:] or [""])[0]


def _try(mutant: Mutant) -> tuple[str, str]:
    path = COPY / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return "stale", f"{text.count(mutant.old)} places"
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        code, said = _tests(mutant.tests, HANGS if mutant.hangs else LIMIT)
    finally:
        path.write_text(text)
    if code == 0:
        return "SURVIVED", said
    # Whatever else it ended with: a fixture that could not be set up has tested nothing.
    if said == "hangs":  # on a slow machine tests may only be slow: that is no catch
        return "caught" if mutant.hangs else "too slow", said
    return "caught" if said.startswith("FAILED") else "no test ran", said


def main(words: list[str]) -> int:
    """Try them; the exit code."""
    chosen = [
        m for m in load() if not words or any(w in f"{m.name} {m.kind} {m.file}" for w in words)
    ]
    _copy()
    ended = Counter[str]()
    for mutant in chosen:
        started = time.monotonic()
        how, said = _try(mutant)
        ended[how] += 1
        seconds = time.monotonic() - started
        print(f"{how:11} {seconds:5.0f} s  {mutant.kind:12} {mutant.name}", flush=True)
        print(f"{'':20} {said[:140]}", flush=True)
    print(", ".join(f"{count} {how}" for how, count in sorted(ended.items())))
    return 0 if set(ended) <= {"caught"} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
