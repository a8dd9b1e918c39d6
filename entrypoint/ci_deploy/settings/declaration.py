"""Settings: each is declared once, on the layer that uses it; only `environ` reads the process's
environment.

From one declaration come the parser and its errors, the inputs of `action.yml` and
`templates/*.yml`, the reference tables, and what the redactor must hide.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import (
    Any,
    NamedTuple,
    TypeVar,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from ci_deploy.errors import input_name
from ci_deploy.settings import lines
from ci_deploy.settings import parsers as values

REQUIRED: Any = object()  # the default of a setting that has none
SECRET_WORDS = (
    "TOKEN", "PASSWORD", "PASS", "SECRET", "PRIVATE_KEY", "API_KEY", "WEBHOOK_URL", "SMTP_URL",
)  # fmt: skip
# In the app's own config we do not choose the names, so the pattern is wider. But PASSENGER_APP_ENV
# and KEYCLOAK_REALM hold no secret, nor do names that end like CACHE_KEY_PREFIX.
SECRET_CONFIG_KEY = re.compile(
    r"^(?!.*_(PREFIX|SUFFIX|NAME|NAMESPACE|TTL|TIMEOUT|LENGTH|SIZE|ALGORITHM|FORMAT|TYPE|ISSUER"
    r"|AUDIENCE|ENABLED|FILE)$)"
    r".*(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|WEBHOOK|DSN|(PASS|KEY)S?(?![A-Z])"
    r"|(DATABASE|REDIS|MONGO|SMTP|AMQP)\w*_URL)",
    re.I,
)
# `A: $A` on GitLab and CircleCI, an expression outside of a workflow: passed on unexpanded.
REFERENCE = re.compile(r"\$\{?[A-Z][A-Z0-9_]+\}?|\$\{\{.*\}\}|<<.*>>|\$\[\[.*\]\]", re.S)
NOT_REPLACED = (
    "the value is an unexpanded reference like `$NAME`: that variable is not set in this "
    "job (protected? another environment?), or references are not expanded in this place."
)
QUOTED = re.compile(r"([\"']).*\1", re.S)
QUOTES = "The quotes are part of the value (`docker run --env-file` keeps them): leave them out."
S = TypeVar("S")


class Setting(NamedTuple):
    """The declaration of one setting: everything about it except its value. `setting` below
    explains what its callers choose."""

    name: str  # of the variable, like APP_NAME
    help: str  # one line for the reference
    field: str = ""  # the attribute that holds the value
    group: str = ""  # the settings class that declares it
    group_help: str = ""  # the docstring of that class
    type: Any = str  # the field's annotation
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
        """Whether it has no default: an active layer that declares it needs a value."""
        return self.default is REQUIRED

    @property
    def base(self) -> Any:
        """The annotated type without `| None`, like `int`: it chooses the parser if `parse` is
        None."""
        members = [member for member in get_args(self.type) if member is not type(None)]
        return members[0] if len(members) < len(get_args(self.type)) else self.type

    @property
    def default_text(self) -> str:
        """The default as a user would write it; empty if there is none, or an empty one."""
        if self.required or self.default in ("", None, (), {}):
            return ""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return " ".join(self.default) if isinstance(self.default, tuple) else str(self.default)

    @property
    def description(self) -> str:
        """The help in one line for GitHub's and GitLab's own pages."""
        default = self.default_help or self.default_text
        text = self.help.replace("`", "'")
        return f"{text} (default: {default})" if default else text

    def convert(self, text: str) -> Any:
        """Convert text to a value of the declared type. Raises ValueError, whose message never
        shows the value of a secret."""
        if not self.literal and REFERENCE.fullmatch(text.strip()):
            raise ValueError(NOT_REPLACED)
        value = lines.plain(text).strip("\n") if self.text else text.strip()
        if self.text and self.base != dict[str, str]:
            value = lines.split(value)
        try:
            return self._convert(value)
        except ValueError as error:
            message = str(error)
            if self.secret and value in message:
                message = "the value is not valid."
            if QUOTED.fullmatch(text.strip()):
                message += f" {QUOTES}"
            raise ValueError(message) from None

    def _convert(self, value: str) -> Any:
        if self.choices and value not in self.choices:
            near = values.suggestion(value, self.choices)
            message = f"`{value}` is not one of {', '.join(self.choices)}. {near}".rstrip()
            raise ValueError(message)
        if self.pattern and not re.fullmatch(self.pattern, value):
            shown = "the value" if self.secret else f"`{value}`"
            rule = f"must match the regular expression `{self.pattern}`"
            how = f"an example: `{self.example}`" if self.example else f"it {rule}"
            message = f"{shown} is not valid; {how}."
            raise ValueError(message)
        return (self.parse or values.CONVERT[self.base])(value)

    @property
    def input(self) -> str:
        """The name of the input on GitLab and GitHub."""
        return input_name(self.name)


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
    """Declare a setting as a field of a `@settings` class; without `default` it is required. `name`
    is the variable, `help` one line for the reference.

    `text` settings may have several lines. A `text` or `secret` setting may also be given as the
    path of a file with the value. `literal` settings hold commands: GitLab must not expand
    `$` in them. `choices`: the only values allowed; `pattern`: a regular expression that the whole
    value must match, with an `example` for the error. `aliases`: other names that are read too.
    `default_help` describes a computed default. `parse` converts the text, and raises ValueError.
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
    return dataclasses.field(metadata={"setting": declared}, **options)


@dataclass_transform(field_specifiers=(setting,), kw_only_default=True, frozen_default=True)
def settings(cls: type[S]) -> type[S]:
    """Class decorator: makes a class whose fields are made by `setting` an immutable dataclass with
    keyword arguments. It has no repr, since that would show secrets."""
    return dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


def declared(cls: type[Any]) -> tuple[Setting, ...]:
    """The settings of a `@settings` class with all their fields set, inherited ones first."""
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
        field.metadata["setting"]._replace(
            field=field.name,
            type=hints[field.name],
            group=owners[field.name].__name__,
            group_help=(owners[field.name].__doc__ or "").strip(),
        )
        for field in dataclasses.fields(cls)
    )


def environ() -> Mapping[str, str]:
    """A copy of the process's environment variables, which no other function of the package
    reads."""
    return dict(os.environ)
