"""The sources of settings: inputs, variables and files, in their order of precedence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from ci_deploy import files
from ci_deploy.errors import Problem, input_name
from ci_deploy.settings import lines
from ci_deploy.settings.declaration import SECRET_CONFIG_KEY, Setting, declared
from ci_deploy.settings.elsewhere import OTHERS
from ci_deploy.settings.parsers import suggestion

S = TypeVar("S")


class Found(NamedTuple):
    """The text of a setting, and where it was found; made by `Source.find`."""

    text: str
    origin: str  # for messages, like "variable APP_NAME" or "APP_NAME_FILE, file app.txt"
    by_input: bool = False  # given as an input: for this job, not for a group of projects


class Source:
    """Looks settings up in `environ`. The first value that is not empty wins: the input, the
    variable, the file named by NAME_FILE, the dotenv file named by ENV_FILE; at each of these the
    name comes before its aliases. Files that cannot be read are added to `problems`."""

    def __init__(self, environ: Mapping[str, str], *, inputs: bool = False) -> None:
        self.environ = environ
        self.inputs = inputs  # whether the platform passes settings as inputs (GitHub)
        self.problems: list[Problem] = []
        self._file: dict[str, str] = {}
        self._found: dict[tuple[object, ...], Found | None] = {}
        if path := self._given("ENV_FILE"):
            self._file = self._read_env_file(path)

    def find(self, declaration: Setting) -> Found | None:
        """Look a setting up; None when it is unset or empty."""
        names = (declaration.name, *declaration.aliases)
        key = (*names, declaration.text or declaration.secret)  # all that the result depends on
        if key not in self._found:
            places = (self._find_given, self._find_in_file, self._find_in_env_file)
            candidates = (find(name, declaration) for find in places for name in names)
            self._found[key] = next(filter(None, candidates), None)
        return self._found[key]

    def peek(self, declaration: Setting) -> Found | None:
        """Like `find`, but an unreadable file is not recorded as a problem yet: for settings that
        may not be used at all."""
        noted = list(self.problems), dict(self._found)
        found = self.find(declaration)
        self.problems, self._found = noted
        return found

    def text(self, name: str) -> str:
        """The text of the setting `name`, without its aliases; empty when it is not set. A value
        that is the path of a file is returned as it is, except that of NAME_FILE."""
        found = self.find(Setting(name=name, help="")) if name else None
        return found.text.strip() if found else ""

    def unknown_inputs(self, known: Iterable[Setting]) -> Iterable[Problem]:
        """Yield a problem for each input (variable INPUT_NAME) that none of the settings `known`
        declares: GitHub itself only warns. On a platform without inputs, only for one that looks
        like a typo of a setting."""
        names = {input_name(name) for each in known for name in (each.name, *each.aliases)}
        for key, value in self.environ.items():
            name = input_name(key.removeprefix("INPUT_")).replace(" ", "-")
            if key.startswith("INPUT_") and value and name not in names:
                remedy = suggestion(name, names)
                if remedy or self.inputs:
                    yield Problem(f"input `{name}`", "there is no such input.", "", remedy)

    def looks_like(self, name: str, *, but: Iterable[str] = (), cutoff: float = 0.8) -> str:
        """The variable that is set, is not in `but`, and whose name is most like `name`: perhaps a
        typo. Empty if no name reaches the similarity `cutoff` (0 to 1)."""
        import difflib

        given = {key for key, value in self.environ.items() if value.strip()} - set(but)
        return next(iter(difflib.get_close_matches(name, given, n=1, cutoff=cutoff)), "")

    def elsewhere(self, name: str) -> str:
        """A sentence for the user if a variable is set that other tools' pipelines use for what
        ci-deploy reads from `name`; else empty."""
        given = (each for each in OTHERS.get(name, ()) if self.environ.get(each, "").strip())
        return next((f"{other} is set, but ci-deploy reads {name}." for other in given), "")

    def meant(self, name: str) -> str:
        """A sentence for the user that names a variable which is set and may be meant as `name`: a
        typo, or another tool's (`elsewhere`). Empty for none."""
        if near := self.looks_like(name):
            return f"The variable {near} is set: is its name misspelt?"
        return self.elsewhere(name)

    def advised(self, problem: Problem) -> Problem:
        """The problem; if its setting is not set, its remedy also names the variable of another
        tool (`elsewhere`) that may hold the value."""
        words = self.elsewhere(problem.setting)
        if problem.origin or self.text(problem.setting) or words in problem.remedy:
            return problem
        return problem._replace(remedy=f"{problem.remedy} {words}".strip())

    def misspelt(self, known: Iterable[Setting]) -> Iterable[tuple[str, str]]:
        """Yield (variable, setting) for each variable whose name looks like a typo of a setting of
        `known` that is not set."""
        declarations = {name: each for each in known for name in (each.name, *each.aliases)}
        others = {*declarations, *(f"{name}_FILE" for name in declarations)}
        for name, declaration in declarations.items():
            if self.find(declaration) is None:
                near = self.looks_like(name, but=others, cutoff=0.9)
                if near:
                    yield near, name

    def _given(self, name: str) -> str:
        dashed = name.replace("_", "-")
        for key in (f"INPUT_{dashed}", f"INPUT_{name}", name):
            if value := self.environ.get(key, ""):
                return value
        return ""

    def _find_given(self, name: str, declaration: Setting) -> Found | None:
        dashed = name.replace("_", "-")
        for key in (f"INPUT_{dashed}", f"INPUT_{name}", name):
            if value := self.environ.get(key, "").strip():
                found = self._maybe_file(value, self._origin(key, name), declaration)
                return found and found._replace(by_input=key != name)
        return None

    def _find_in_file(self, name: str, declaration: Setting) -> Found | None:
        path = self.environ.get(f"{name}_FILE", "")
        return self._read(path, f"{name}_FILE", declaration) if path else None

    def _find_in_env_file(self, name: str, _declaration: Setting) -> Found | None:
        value = self._file.get(name, "")
        return (
            Found(value, f"{self._given('ENV_FILE')}, named by ENV_FILE") if value.strip() else None
        )

    def _origin(self, key: str, name: str) -> str:
        return f"variable {key}" if key == name else f"input `{input_name(name)}`"

    def _maybe_file(self, value: str, origin: str, declaration: Setting) -> Found | None:
        """The content of the file if `value` is the path of one, as in GitLab's File variables;
        else `value` itself."""
        may_be = declaration.text or declaration.secret
        if may_be and "/" in value and "\n" not in value and len(value) < 4096:
            try:
                if Path(value).is_file():
                    return self._read(value, origin, declaration)
            except OSError:  # e.g. a name that is too long: it is text then
                pass
        return Found(value, origin)

    def _read(self, path: str, origin: str, declaration: Setting) -> Found | None:
        try:
            text = lines.text_of(files.read(path))
        except OSError as error:
            reason = f"the file {path} cannot be read: {error.strerror}."
            self.problems.append(Problem(declaration.name, reason, origin))
            return None
        return Found(text, f"{origin}, file {path}") if text.strip() else None

    def _read_env_file(self, path: str) -> dict[str, str]:
        try:
            return lines.dotenv(lines.text_of(files.read(path), "strict"))
        except OSError as error:
            reason = f"the file {path} cannot be read: {error.strerror}."
        except ValueError as error:
            reason = f"in {path}, {error}"
        self.problems.append(Problem("ENV_FILE", reason))
        return {}


def load(cls: type[S], source: Source, hide: Callable[[str], None], **given: object) -> S | None:
    """Make an instance of the `@settings` class `cls`; if a value is missing or wrong, add the
    problems to `source.problems` and return None.

    `hide` is called with every secret before anything about it can be printed, also with the values
    of an app's variables whose names suggest a secret (SECRET_CONFIG_KEY). `given` are values of
    fields, which are then not looked up.
    """
    before = len(source.problems)
    fields: dict[str, object] = {}
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
            value = declaration.convert(found.text)
        except ValueError as error:
            source.problems.append(Problem(declaration.name, str(error), found.origin))
            continue
        if declaration.type == dict[str, str]:
            _hide_config(value, hide)
        if declaration.secret and hasattr(value, "text"):
            hide(value.text)  # a key that was given in another form than its text
        fields[declaration.field] = value
    return None if len(source.problems) > before else cls(**fields, **given)


def _missing(declaration: Setting, source: Source) -> Problem:
    example = f" An example: `{declaration.example}`." if declaration.example else ""
    remedy = source.meant(declaration.name)
    return Problem(declaration.name, f"is required.{example}", "", remedy, missing=True)


def _hide_config(config: Mapping[str, str], hide: Callable[[str], None]) -> None:
    for key, value in config.items():
        if SECRET_CONFIG_KEY.search(key):
            hide(value)
