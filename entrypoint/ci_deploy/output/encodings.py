"""The encodings in which programs may print a secret (`forms`), and the parts of URLs and JSON
that are secrets too (`url_parts`, `json_values`). The search (`secret_search`) ignores backslashes,
so forms that differ only in these are not listed separately."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST = 6  # characters; a shorter secret would be found in ordinary text too
FRAGMENT = 24  # this many consecutive characters of a key, token or encoding are a leak
DENSE = re.compile(rb"[A-Za-z0-9+/=_-]{24,}")
GENERIC = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
# /hooks/deploy and ?channel=dev-ops: one or two short words are not a token.
_WORDS = re.compile(r"(?!.{16})[A-Z]?[a-z]*[_-]?[A-Z]?[a-z]*")
_KEY = re.compile(r"token|key|secret|pass|auth|sig|code", re.I)
_JSON = re.compile(r'"([^"\\]+)"\s*:\s*"((?:[^"\\]|\\.)+)"')
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def to_bytes(text: str) -> bytes:
    """Encode as UTF-8; surrogates that stand for undecodable bytes become those bytes again. If
    there are other surrogates, all of them become `?`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _encodings(text: str) -> set[str]:
    """The text as URLs, JSON, HTML, shells and Python write it, except for added backslashes."""
    data = to_bytes(text)
    percent = {quote_plus(data), *(quote(data, safe) for safe in ("", "/", "!'()*~"))}
    percent |= {re.sub("%..", lambda code: code[0].lower(), form) for form in percent}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    escaped |= {re.sub("[<>&]", lambda char: f"\\u{ord(char[0]):04x}", form) for form in escaped}
    entities = {html.escape(text), html.escape(text, quote=False)}
    entities |= {
        form.replace("&#x27;", other) for form in entities for other in ("&#39;", "&apos;")
    }
    entities |= {form.replace("&quot;", "&#34;") for form in entities}
    shell = {text.replace("'", inside) for inside in ("'\\''", "'\"'\"'")}
    if not text.isascii():
        shell |= _beyond_ascii(text, data)
    return {text, repr(data)[2:-1], *percent, *escaped, *entities, *shell}


def _beyond_ascii(text: str, data: bytes) -> set[str]:
    """The text as shells and Ruby write it when it has characters beyond ASCII."""
    octal = (chr(byte) if byte < 128 else f"\\{byte:03o}" for byte in data)  # $'…' in the locale C
    wide = re.sub(r"[^\x00-\x7f]", lambda char: f"\\u{ord(char[0]):04X}", text)
    dumped = re.sub(r"\\u([0-9A-F]{5,})", r"\\u{\1}", wide)
    hexed = re.sub(r"[^\x00-\x7f]", lambda c: "".join(f"\\x{b:02X}" for b in to_bytes(c[0])), text)
    return {"".join(octal), wide, dumped, hexed, ascii(text)[1:-1]}


def _base64(data: bytes) -> Iterator[bytes]:
    """The forms of data's base64 within a longer text: the part that does not depend on what is
    around it, and the whole for data at the end."""
    for shift, unstable in enumerate((0, 2, 3)):
        code = b64encode(bytes(shift) + data)
        forms = {code[unstable:]}
        stable = code[unstable : (shift + len(data)) * 8 // 6]
        if len(stable) < FRAGMENT:  # else it is found as a part of the code
            forms |= {stable, code[unstable:].rstrip(b"=")}
        yield from forms
        yield from (form.translate(_URL_SAFE) for form in forms)


def forms(secret: str) -> Iterator[bytes]:
    """Yield the forms, without newlines, in which programs may print the secret: as it is, as in
    URLs, JSON, HTML, shells and Python, as hex, as base64 and base64 of that. Of several lines,
    each with at least SHORTEST characters is a secret too, except the first and last of a PEM
    file. Forms may contain backslashes and occur twice."""
    lines = [line for line in secret.split("\n") if not GENERIC.fullmatch(line.strip())]
    words = [line.strip() for line in lines if len(line.strip()) >= SHORTEST]
    for text in {"\n".join(lines), *words}:
        yield from (to_bytes(form).replace(b"\n", b"") for form in _encodings(text))
    short = [word for word in words if len(word) < FRAGMENT]
    for text in {secret, secret.replace("\n", "\\n"), secret.replace("\n", "\r\n"), *short}:
        data = to_bytes(text)
        yield from (data.hex().encode(), data.hex().upper().encode())
        for code in set(_base64(data)):
            yield code
            yield from _base64(code)


def json_values(text: str) -> Iterator[str]:
    """Yield the string values in a JSON text whose keys suggest a secret, as they are written, but
    no URLs (`http…`); nothing if the text has none. Programs print a document with another
    layout, so it is not enough to hide the whole."""
    for key, value in _JSON.findall(text):
        if _KEY.search(key) and not value.startswith("http"):
            yield value


def url_parts(url: str) -> Iterator[str]:
    """Yield the parts of a URL that are secrets on their own, as they are and decoded: the
    password, a user name like a token and, for http(s) only, a path that is more than short words,
    the last such part of it, and parameters whose name or value looks secret. Some may be empty.

    Error messages often show only the path. In a database's URL it is the database's name.
    """
    try:
        parts = urlsplit(url)
        user, values = parts.username or "", [parts.password or ""]
    except ValueError:
        return
    if DENSE.fullmatch(to_bytes(user)):
        values.append(user)  # a token: https://TOKEN@github.com
    if parts.scheme in ("http", "https"):
        path = parts.path.strip("/")
        secret = [part for part in path.split("/") if not _WORDS.fullmatch(part)]
        values += [path, secret[-1]] if secret else []
        pairs = [pair.partition("=") for pair in parts.query.split("&")]
        values += [
            value for key, _, value in pairs if _KEY.search(key) or not _WORDS.fullmatch(value)
        ]
    for value in values:
        yield from (value, unquote(value), unquote_plus(value))
