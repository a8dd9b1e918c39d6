"""The questions of `init`, answered on a terminal or by command-line options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ci_deploy.commands.assembly import Assembly
from ci_deploy.errors import UsageError
from ci_deploy.report import console as style


class Questions:
    """Asks on a terminal for what no option gives. With --yes or without a terminal nothing is
    asked: the detected values are taken, and questions without one are kept for `check`."""

    def __init__(self, assembly: Assembly, options: argparse.Namespace) -> None:
        self._console = assembly.console
        self._silent = options.yes
        self._options = options
        self._unknown: dict[str, str] = {}  # option → question
        self.asked: set[str] = set()  # the options that were asked for on the terminal

    def given(self, name: str) -> str | None:
        """The value of the command-line option --NAME; None if it was not given."""
        return getattr(self._options, name)  # type: ignore[no-any-return]

    def check(self) -> None:
        """Raise UsageError, which lists them, if there are questions without an answer."""
        if not self._unknown:
            return
        listed = "".join(f"\n  {option}: {question}" for option, question in self._unknown.items())
        several = len(self._unknown) > 1
        command = "`ci-deploy init`" + (" without --yes" if self._silent else "")
        raise UsageError(
            f"{'options are' if several else 'an option is'} missing:{listed}\n"
            f"Add {'them' if several else 'it'}, or run {command} on a terminal to be asked "
            "(in a container: `docker run -it …`)."
        )

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
        """The value of the option --NAME, else the answer to `question` on the terminal, else
        `default` (empty: none). `check` normalises a value, and raises ValueError. With --yes or
        `infer`, a default is taken without a question. Without a terminal, a question without a
        default is kept for `Questions.check`, and the value is empty. Raises UsageError for a bad
        option, and at the end of the input."""
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
                message = f"the input ended at the question `{question}`; nothing was written."
                raise UsageError(message)
            try:
                return check(line.strip() or default)
            except ValueError as error:
                self._console.line(f"  {error}", style.YELLOW)
