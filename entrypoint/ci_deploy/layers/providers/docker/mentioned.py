"""Finds words in a compose file that may name a file which Compose itself reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

VALUE = r"\[[^\]]*\]|\"[^\"]*\"|'[^']*'|[^\s,{}\]#]+"
KEY = re.compile(rf"([\"']?)\b(env_file|include|file|path)\1\s*:\s*({VALUE})?")
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*)|[^}]*)\}|\$(\w+)")
WORD = re.compile(r"[^\s,\[\]{}\"':]+")


def mentioned(text: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Words that may be paths, after keys that name files. Too many do no harm: only files of the
    repository count."""
    inside = -1  # the indent of a key whose values are in the lines below
    for raw in text.splitlines():
        line = VARIABLE.sub(lambda m: variables.get(m[1] or m[3]) or m[2] or "", raw)
        line = re.sub(r"(^|\s)#.*", "", line)
        indent = len(line) - len(line.lstrip(" "))
        if not line.strip():
            continue
        if inside >= 0 and (indent > inside or (indent == inside and line[indent] == "-")):
            yield from WORD.findall(line)
            continue
        inside = -1
        for found in KEY.finditer(line):
            value = found[3] or ""
            if value.startswith("*"):  # an alias: it may stand for any list
                yield from WORD.findall(text)
            yield from WORD.findall(value)
            if not value or value.startswith("&"):
                inside = indent
