"""The questions of `init`, answered on a terminal or by command-line options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ci_deploy.commands.assembly import Assembly
from ci_deploy.errors import UsageError
from ci_deploy.report import console as style


class Questions:
    """Asks on a terminal for what no option gives; with --yes, the detected values are taken."""

    def __init__(self, assembly: Assembly, options: argparse.Namespace) -> None:
        self._console = assembly.console
        self._silent = options.yes
        self._options = options
        self._unknown: dict[str, str] = {}  # option → question
        self.asked: set[str] = set()  # the options that were asked for on the terminal

    def given(self, name: str) -> str | None:
        """The value of the option --NAME; None if it was not given."""
        return getattr(self._options, name)  # type: ignore[no-any-return]

    def check(self) -> None:
        """Raise UsageError if there are questions without an answer."""
        if not self._unknown:
            return
        which, options = " and ".join(self._unknown.values()), ", ".join(self._unknown)
        verb = "are" if len(self._unknown) > 1 else "is"
        more = "" if self._silent else ", or run it on a terminal (`docker run -it …`)"
        raise UsageError(f"{which} {verb} not known: add {options}{more}.")

    def tell(self, line: str) -> None:
        """Log a value that was inferred without a question, and may be wrong."""
        self._console.line(line)

    @property
    def on_terminal(self) -> bool:
        """Whether questions can be asked: stdin is a terminal, and --yes is not given."""
        return not self._silent and sys.stdin.isatty()

    def ask(
        self,
        name: str,
        question: str,
        default: str,
        check: Callable[[str], str],
        *,
        infer: bool = False,
    ) -> str:
        """The value of the option --NAME, else the answer to `question` on the terminal, else the
        default. `check` normalises a value, and raises ValueError. With `infer`, a default is taken
        without a question. A question without an answer is kept for `Questions.check`. Raises
        UsageError for a bad option, and at the end of the input."""
        given = self.given(name)
        if given is None and default and (self._silent or infer):
            given = default
        if given is not None:
            try:
                return check(str(given))
            except ValueError as error:
                raise UsageError(f"--{name}: {str(error).replace('APP_NAME', '--app')}") from None
        if not self.on_terminal:
            self._unknown |= {} if default else {f"--{name}": question}
            return default
        self.asked.add(name)
        while True:
            self._console.line(f"{question}{f' [{default}]' if default else ''}:")
            line = sys.stdin.readline()
            if not line:
                raise UsageError(f"{question} was not answered; nothing was written.")
            try:
                return check(line.strip() or default)
            except ValueError as error:
                self._console.line(f"  {error}", style.YELLOW)
