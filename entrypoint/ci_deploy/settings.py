"""Settings: declared once on the layer that uses them, read here and nowhere else.

From one declaration come the parser and its errors, the inputs of `action.yml` and
`templates/*.yml`, the reference tables, and what the redactor must hide.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, dataclass_transform, get_args, get_type_hints

from ci_deploy.errors import Problem

REQUIRED: Any = object()  # the default of a setting that has none
SECRET_WORDS = (
    "TOKEN", "PASSWORD", "PASS", "SECRET", "PRIVATE_KEY", "API_KEY", "WEBHOOK_URL", "SMTP_URL",
)  # fmt: skip
# In the app's own config we do not choose the names, so the net is wider.
SECRET_CONFIG_KEY = re.compile(
    r"TOKEN|PASS|SECRET|KEY|CREDENTIAL|WEBHOOK|DSN|(DATABASE|REDIS|MONGO|SMTP|AMQP)\w*_URL", re.I
)
S = TypeVar("S")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """The declaration of one setting (everything that is known about it, values excepted)."""

    name: str
    help: str
    field: str = ""
    group: str = ""
    type: Any = str
    default: Any = REQUIRED
    default_help: str = ""
    secret: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    aliases: tuple[str, ...] = ()
    literal: bool = False
    text: bool = False
    parse: Callable[[str], Any] | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def input(self) -> str:
        """The name of the input on GitLab and GitHub."""
        return self.name.lower().replace("_", "-")


def setting(
    name: str,
    help: str,  # noqa: A002 - the word that argparse and every CLI library use
    *,
    default: Any = REQUIRED,
    default_help: str = "",
    secret: bool = False,
    choices: Iterable[str] = (),
    pattern: str = "",
    example: str = "",
    aliases: Iterable[str] = (),
    literal: bool = False,
    text: bool = False,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """Declare a setting as a field of a `@settings` class. Without default it is required.

    `text` settings may have several lines, so that their plain name may also hold a path.
    `literal` settings hold commands: GitLab must not expand `$` in them. `default_help` describes
    a default that is computed. `parse` turns the text into the value and raises ValueError.
    """
    declared = Setting(
        name=name,
        help=help,
        default=default,
        default_help=default_help,
        secret=secret,
        choices=tuple(choices),
        pattern=pattern,
        example=example,
        aliases=tuple(aliases),
        literal=literal,
        text=text,
        parse=parse,
    )
    options: Any = {"default_factory": default.copy} if default == {} else {"default": default}
    options = {} if default is REQUIRED else options
    return dataclasses.field(metadata={"setting": declared}, repr=not secret, **options)


@dataclass_transform(field_specifiers=(setting,), kw_only_default=True, frozen_default=True)
def settings(cls: type[S]) -> type[S]:
    """Make a class of settings: an immutable dataclass whose fields are made by `setting()`."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def declared(cls: type[Any]) -> tuple[Setting, ...]:
    """The settings of a `@settings` class, inherited ones first."""
    return _declared(cls)  # type: ignore[arg-type]


@functools.cache
def _declared(cls: Any) -> tuple[Setting, ...]:
    hints = get_type_hints(cls)
    owners = {
        name: owner
        for owner in reversed(cls.__mro__)
        for name in vars(owner).get("__annotations__", {})
    }
    return tuple(
        dataclasses.replace(
            field.metadata["setting"],
            field=field.name,
            type=hints[field.name],
            group=owners[field.name].__name__.removesuffix("Settings").lower(),
        )
        for field in dataclasses.fields(cls)
    )


# --- text to value -------------------------------------------------------------------------------


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        message = f"`{text}` is neither true nor false."
        raise ValueError(message)
    return words[text.lower()]


def _seconds(text: str) -> int:
    if not text.isdecimal():
        message = f"`{text}` is not a whole number."
        raise ValueError(message)
    return int(text)


def words(text: str) -> tuple[str, ...]:
    """Every list takes blanks, commas or newlines."""
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def dotenv_lines(text: str) -> dict[str, str]:
    """Parse dotenv lines without expanding `${…}`: it may be part of a password."""
    from dotenv.main import DotEnv
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            message = f"line {binding.original.line} is not `NAME=value`."
            raise ValueError(message)
    values = DotEnv(None, stream=io.StringIO(text), interpolate=False, override=True).dict()
    return {key: value or "" for key, value in values.items()}


def http_url(text: str) -> str:
    """Check an http(s) URL."""
    if not re.fullmatch(r"https?://[^\s/?#@]+(:\d+)?([/?#]\S*)?", text, re.I):
        message = "this is not an http:// or https:// URL."
        raise ValueError(message)
    return text


_CONVERT: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _seconds,
    bool: _boolean,
    tuple[str, ...]: words,
    dict[str, str]: dotenv_lines,
}


def _base(kind: Any) -> Any:
    """`str | None` → `str`."""
    members = [member for member in get_args(kind) if member is not type(None)]
    optional = len(members) < len(get_args(kind))
    return members[0] if optional else kind


def suggestion(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` for a near miss, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"Did you mean `{near[0]}`?" if near else ""


def convert(declaration: Setting, text: str) -> Any:
    """Turn the text of one setting into its value; raises ValueError that never shows a secret."""
    value = text.strip("\r\n") if declaration.text else text.strip()
    if declaration.choices and value not in declaration.choices:
        hint = suggestion(value, declaration.choices)
        message = f"`{value}` is not one of {', '.join(declaration.choices)}. {hint}".rstrip()
        raise ValueError(message)
    if declaration.pattern and not re.fullmatch(declaration.pattern, value):
        shown = "the value" if declaration.secret else f"`{value}`"
        example = f", like `{declaration.example}`" if declaration.example else ""
        message = f"{shown} does not look right{example}."
        raise ValueError(message)
    parse = declaration.parse or _CONVERT[_base(declaration.type)]
    return parse(value)


# --- where values come from ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Found:
    """A value that somebody gave, and where."""

    text: str
    origin: str


class Source:
    """The environ (and the file named by ENV_FILE), asked in the order of the contract."""

    def __init__(self, environ: Mapping[str, str], *, inputs: bool = False) -> None:
        self.environ = environ
        self.inputs = inputs  # the platform passes settings as inputs (GitHub)
        self.problems: list[Problem] = []
        self._file: dict[str, str] = {}
        self._found: dict[str, Found | None] = {}
        if path := self._given("ENV_FILE"):
            self._file = self._read_env_file(path)

    def spell(self, declaration: Setting) -> str:
        """A setting in the platform's own spelling."""
        return f"input `{declaration.input}`" if self.inputs else declaration.name

    def find(self, declaration: Setting) -> Found | None:
        """The text of a setting. Empty means unset."""
        if declaration.name not in self._found:
            names = (declaration.name, *declaration.aliases)
            candidates = (self._find(name, declaration) for name in names)
            self._found[declaration.name] = next(filter(None, candidates), None)
        return self._found[declaration.name]

    def text(self, name: str) -> str:
        """The text of a setting by its name, for choosing layers; empty when it is not set."""
        found = self.find(Setting(name=name, help="")) if name else None
        return found.text.strip() if found else ""

    def unknown_inputs(self, known: Iterable[Setting]) -> Iterable[Problem]:
        """Inputs that no setting declares; GitHub passes them on with a mere warning."""
        names = {declaration.input for declaration in known}
        for key, value in self.environ.items():
            name = key.removeprefix("INPUT_").lower().replace("_", "-").replace(" ", "-")
            if key.startswith("INPUT_") and value and name not in names:
                remedy = suggestion(name, names)
                if remedy or self.inputs:
                    yield Problem(f"input `{name}`", "there is no such input.", "", remedy)

    def misspelt(self, known: Iterable[Setting]) -> Iterable[tuple[str, str]]:
        """Variables that look like a misspelt setting which is not set: (variable, setting)."""
        declarations = {declaration.name: declaration for declaration in known}
        for key, value in self.environ.items():
            if not value or key in declarations or key.removesuffix("_FILE") in declarations:
                continue
            for near in difflib.get_close_matches(key, declarations, n=1, cutoff=0.9):
                if self.find(declarations[near]) is None:
                    yield key, near

    def _given(self, name: str) -> str:
        dashed = name.replace("_", "-")
        for key in (f"INPUT_{dashed}", f"INPUT_{name}", name):
            if value := self.environ.get(key, ""):
                return value
        return ""

    def _find(self, name: str, declaration: Setting) -> Found | None:
        dashed = name.replace("_", "-")
        for key in (f"INPUT_{dashed}", f"INPUT_{name}", name):
            if value := self.environ.get(key, "").strip():
                return self._maybe_file(value, self._origin(key, name), declaration)
        if path := self.environ.get(f"{name}_FILE", ""):
            return self._read(path, f"{name}_FILE", declaration)
        if value := self._file.get(name, ""):
            return Found(value, f"{self._given('ENV_FILE')}, named by ENV_FILE")
        return None

    def _origin(self, key: str, name: str) -> str:
        return f"variable {key}" if key == name else f"input `{name.lower().replace('_', '-')}`"

    def _maybe_file(self, value: str, origin: str, declaration: Setting) -> Found | None:
        """GitLab's File variables hold a path where the text is expected."""
        may_be = declaration.text or declaration.secret
        if may_be and "/" in value and "\n" not in value and len(value) < 4096:
            try:
                if Path(value).is_file():
                    return self._read(value, origin, declaration)
            except OSError:  # too long a name, say: it is text then
                pass
        return Found(value, origin)

    def _read(self, path: str, origin: str, declaration: Setting) -> Found | None:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            reason = f"the file {path} cannot be read: {error.strerror}."
            self.problems.append(Problem(self.spell(declaration), reason, origin))
            return None
        return Found(text, f"{origin}, file {path}") if text.strip() else None

    def _read_env_file(self, path: str) -> dict[str, str]:
        try:
            return dotenv_lines(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            reason = f"the file {path} cannot be read: {error.strerror}."
        except ValueError as error:
            reason = f"in {path}, {error}"
        self.problems.append(Problem("ENV_FILE", reason))
        return {}


def environ() -> Mapping[str, str]:
    """A copy of the process's environ, made here so that nothing else reads it."""
    return dict(os.environ)


# --- loading -------------------------------------------------------------------------------------


def load(cls: type[S], source: Source, hide: Callable[[str], None], **given: object) -> S | None:
    """Make a settings object; every problem goes to `source.problems`, and then there is None.

    `hide` is told of every secret before anything about it can be printed. `given` are fields that
    the caller already knows.
    """
    before = len(source.problems)
    values: dict[str, object] = {}
    for declaration in declared(cls):
        if declaration.field in given:
            continue
        found = source.find(declaration)
        if found is None:
            if declaration.required:
                source.problems.append(_missing(declaration, source))
            continue
        if declaration.secret:
            hide(found.text)
        try:
            value = convert(declaration, found.text)
        except ValueError as error:
            spelled = source.spell(declaration)
            source.problems.append(Problem(spelled, str(error), found.origin))
            continue
        if declaration.type == dict[str, str]:
            _hide_config(cast("dict[str, str]", value), hide)
        values[declaration.field] = value
    return None if len(source.problems) > before else cls(**values, **given)


def _missing(declaration: Setting, source: Source) -> Problem:
    example = f" It looks like `{declaration.example}`." if declaration.example else ""
    near = difflib.get_close_matches(declaration.name, list(source.environ), n=1, cutoff=0.8)
    remedy = f"There is a variable {near[0]}: is it misspelt?" if near else ""
    return Problem(source.spell(declaration), f"is required.{example}", "", remedy)


def _hide_config(values: Mapping[str, str], hide: Callable[[str], None]) -> None:
    for key, value in values.items():
        if SECRET_CONFIG_KEY.search(key):
            hide(value)


def type_name(declaration: Setting) -> str:
    """How the documentation calls the type."""
    names = {int: "whole number", bool: "true or false", tuple[str, ...]: "list"}
    if declaration.choices:
        return "one of " + ", ".join(f"`{choice}`" for choice in declaration.choices)
    return names.get(_base(declaration.type), "text")
