"""Assembles a run (`Assembly`): reads the settings, chooses the layers, makes the context."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ci_deploy.ci import checkouts
from ci_deploy.ci.base import CI
from ci_deploy.commands.dropped import WISHING, Dropped
from ci_deploy.errors import DeployError, Problem, SettingsError
from ci_deploy.git.repository import Repository
from ci_deploy.layers import LayerClass, discover
from ci_deploy.layers import load as load_layer
from ci_deploy.layers.base import Layer
from ci_deploy.layers.providers.base import Provider
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.process.environ import child_environ
from ci_deploy.process.runner import Runner
from ci_deploy.report import console as style
from ci_deploy.report.console import Console
from ci_deploy.report.outputs import Report
from ci_deploy.run import guards
from ci_deploy.run.context import Context
from ci_deploy.run.private_dir import private_dir
from ci_deploy.run.review_app import ReviewSettings, is_about, review_app
from ci_deploy.settings import Setting, declared, load
from ci_deploy.settings.core import ChoiceSettings, CoreSettings, GuardSettings
from ci_deploy.settings.parsers import nearest, suggestion
from ci_deploy.settings.sources import Source


def every_setting(classes: Sequence[LayerClass] | None = None) -> list[Setting]:
    """The declarations of the settings, each name once: those of every run, then those of the
    layers `classes` (default: of all layers). Raises ToolMissing for a layer that cannot be
    loaded."""
    layers = discover() if classes is None else classes
    every = (CoreSettings, ReviewSettings, ChoiceSettings, *(cls.Settings for cls in layers))
    return list({each.name: each for cls in every for each in declared(cls)}.values())


class Assembly:
    """What a command makes its run of: the platform (`ci`), the sources of settings (`source`), all
    layers (`classes`), the console. `cli.run` makes one for the process; `init` makes another for
    `doctor`. Making it registers all secrets with the redactor; `guards` and `context` parse the
    settings. Raises ToolMissing for a layer that cannot be loaded."""

    def __init__(
        self,
        environ: Mapping[str, str],
        ci: CI,
        console: Console,
        redactor: Redactor,
        cancellation: Cancellation,
        cleanup: contextlib.ExitStack,
    ) -> None:
        self.environ = environ
        self.ci = ci
        self.console = console
        self.redactor = redactor
        self.cancellation = cancellation
        self.cleanup = cleanup
        self.source = Source(environ, inputs=ci.inputs)
        self.checkout = checkouts.find(ci.context.workspace, self.source.text("CHECKOUT_DIR"))
        self.root = self.checkout.path / self.source.text("APP_DIR")
        self.classes = discover()
        self.every = every_setting(self.classes)
        self.names = frozenset(name for each in self.every for name in (each.name, *each.aliases))
        if ci.inputs:  # what is given as a variable keeps its name
            console.inputs = frozenset(each for each in self.names if not environ.get(each))
        self.plain_words: list[str] = []  # settings whose secret value is an ordinary word
        self.hide_all()

    def hide_all(self) -> None:
        """Register with the redactor every secret that is set, whether or not this run uses it.
        A secret, or part of one, that is the name of the app or the environment is not hidden."""
        names = map(self.source.text, ("APP_NAME", "DEPLOY_ENVIRONMENT"))
        self.redactor.spare(*names, self.ci.context.environment)
        for declaration in self.every:
            found = self.source.peek(declaration) if declaration.secret else None
            if found:
                self.redactor.add(found.text)
                if self.redactor.hides_as_word(found.text):
                    self.plain_words.append(declaration.name)

    def guards(self) -> GuardSettings:
        """The values of CI_DEPLOY and DEPLOY_ALLOW, which are read before all other settings.
        Raises SettingsError, also for files of settings that cannot be read."""
        loaded = load(GuardSettings, self.source, self.redactor.add)
        if loaded is None:
            raise SettingsError(*self.source.problems)
        return loaded

    def check_job(self, command: str, options: argparse.Namespace) -> None:
        """Check by the facts of the job that it may run `command`, before any credential is used.
        `options`: the parsed command line.

        Raises Refused when it may not, SkipDeploy when there is nothing to do (not for commands in
        `guards.ANSWERS`, which are refused then), and SettingsError like `guards`.
        """
        facts, named = self.ci.context, self.source.text("REVIEW_APP_NAME")
        environment = self.source.text("DEPLOY_ENVIRONMENT") or facts.environment
        sweep = command == "destroy" and options.stale is not None  # marks say which apps
        guards.check(
            command,
            facts._replace(environment=environment),
            self.guards().allow,
            review_app="any" if sweep else named,
        )

    def context(
        self, command: str, *, planning: bool = False, arguments: Mapping[str, Any] | None = None
    ) -> tuple[Context, list[Layer[Any]]]:
        """Make the context of a run, with its provider, and the active layers (context, layers).
        `arguments`: the command line's options. Logs settings without effect and likely typos.
        Raises SettingsError with the problems of all settings, or with that of a review app's name;
        ToolMissing; a DeployError that a layer's `problems` raises, if no setting is wrong."""
        source, hide = self.source, self.redactor.add
        source.problems += source.unknown_inputs([*self.every, COMMAND])
        core = load(CoreSettings, source, hide)
        chosen = self._choose()
        wanted = [(cls, load(cls.Settings, source, hide)) for cls in chosen]
        facts = self.ci.context
        facts = facts._replace(environment=(core and core.environment) or facts.environment)
        about = is_about(command, facts, named=bool(source.text("REVIEW_APP_NAME")))
        dropped = Dropped(source, self.classes, chosen, self.root)
        if command in WISHING:
            source.problems += dropped.problems()
        ctx = self._make(command, core, planning=planning, arguments=dict(arguments or {}))
        ctx.review_settings = load(ReviewSettings, source, hide) if about else None
        layers = [load_layer(cls)(ctx, found) for cls, found in wanted if found is not None]
        for layer in layers:
            if isinstance(layer, Provider):
                ctx.provider = layer
        for layer in layers:
            try:
                source.problems += layer.problems()
            except DeployError:
                if not source.problems:
                    raise
        if source.problems:
            problems = dict.fromkeys(map(source.advised, source.problems))
            raise SettingsError(*problems, hint=self._hint())
        if (review := ctx.review_settings) and ctx.arguments.get("stale") is None:
            limit = ctx.provider.name_limit
            ctx.review = review_app(ctx.app, review, self.ci.context, limit=limit)
        self._mention(chosen)
        for warning in dropped.warnings() if command in WISHING else ():
            self.console.warning(warning)
        return ctx, layers

    def bare_context(self) -> Context:
        """A context without app and provider, for `init` and `version`, which only inspect this
        machine; as in `plan`, its runner executes no change. Raises ToolMissing."""
        return self._make("", None, planning=True, arguments={})

    # --- choosing ---

    def _choose(self) -> list[LayerClass]:
        others = [cls for cls in self.classes if not issubclass(cls, Provider)]
        return [*self._provider(), *(cls for cls in others if cls.wanted(self.source, self.root))]

    def _provider(self) -> list[LayerClass]:
        """The named provider, or those whose trigger is set; records a problem unless it is exactly
        one."""
        providers = {cls.name: cls for cls in self.classes if issubclass(cls, Provider)}
        choice = load(ChoiceSettings, self.source, self.redactor.add)
        name = choice.provider if choice else ""
        if name in providers:
            return [providers[name]]
        setting = declared(ChoiceSettings)[0].name
        if name:
            near = nearest(name, providers)
            reason = f"`{name}` is not one of {', '.join(sorted(providers))}."
            self.source.problems.append(Problem(setting, reason, "", suggestion(name, providers)))
        else:
            near = [each for each, cls in providers.items() if cls.wanted(self.source, self.root)]
            if len(near) != 1:
                triggers = [cls.trigger for cls in providers.values()]
                remedy = " ".join(filter(None, map(self.source.meant, triggers)))
                problem = Problem(
                    setting, _undecided(near, providers), "", remedy if not near else ""
                )
                self.source.problems.append(problem)
        return [providers[each] for each in near]

    def _hint(self) -> str:
        facts = self.ci.context
        missing = [each for each in self.source.problems if each.missing]
        secrets = {each.name for each in self.every if each.secret}
        if any(each.setting in secrets for each in missing) and self.ci.missing_hint:
            return self.ci.missing_hint
        if facts.protected is False and missing:
            return (
                f"`{facts.ref}` is not a protected branch or tag, so this job does not get the "
                "project's protected variables. Protect it, or give the variables to all branches."
            )
        return ""

    def _mention(self, chosen: Sequence[LayerClass]) -> None:
        """Log each layer that has settings but not the one that switches it on, and likely
        typos."""
        used = {each.name for cls in chosen for each in declared(cls.Settings)}
        off: dict[tuple[str, ...], list[LayerClass]] = {}  # layers that share settings: one line
        for cls in self.classes:
            if cls in chosen or issubclass(cls, Provider):
                continue
            names = (each.name for each in declared(cls.Settings) if each.name not in used)
            if own := tuple(name for name in names if self.source.text(name)):
                off.setdefault(own, []).append(cls)
        for shared, classes in off.items():
            who = f"{', '.join(cls.name for cls in classes)} {'are' if classes[1:] else 'is'} off"
            missing = dict.fromkeys(cls.trigger for cls in classes if cls.trigger)
            why = f"{' or '.join(missing)} is not set" if missing else classes[0].absent
            given = f"{', '.join(shared)} {'are' if shared[1:] else 'is'} set"
            said = self.console.message(f"{who}: {why}, although {given}")
            self.console.indent(said, style.DIM)
        for name in self.plain_words:
            self.console.warning(
                f"the value of {name} is an ordinary word: the log hides it only where it "
                "stands alone. Use a longer secret."
            )
        for variable, name in self.source.misspelt(self.every):
            self.console.warning(
                f"the variable {variable} looks like a misspelling of {name}, which is not set."
            )
        for each in every_setting(chosen):
            if (words := self.source.elsewhere(each.name)) and not self.source.peek(each):
                self.console.warning(words)

    # --- making ---

    def _make(
        self,
        command: str,
        core: CoreSettings | None,
        *,
        planning: bool,
        arguments: dict[str, Any],
    ) -> Context:
        core = core or CoreSettings(app_name="unknown")
        folder = private_dir(self.cleanup)
        self.cancellation.private.append(folder)
        change_log = ChangeLog(self._announce, check=self.cancellation.check, planning=planning)
        runner = Runner(
            environ=child_environ(self.environ, folder, ca_bundle=core.ca_bundle),
            change_log=change_log,
            cancellation=self.cancellation,
            show=self.console.child,
            silent=self.console.silent,
            path=self.environ.get("PATH", ""),
        )
        runner.debug = self.console.debug
        self.cleanup.callback(runner.stop)
        seconds = min(core.timeout, self.ci.context.seconds_left or core.timeout)
        runner.until = time.monotonic() + seconds
        return Context(
            command=command,
            settings=core,
            ci=self.ci,
            environ=self.environ,
            console=self.console,
            redactor=self.redactor,
            runner=runner,
            change_log=change_log,
            cancellation=self.cancellation,
            cleanup=self.cleanup,
            private_dir=folder,
            repository=Repository(runner, self.ci, folder, self.checkout),
            report=Report(command=command),
            planning=planning,
            arguments=arguments,
            ours=self._ours(),
        )

    def _ours(self) -> frozenset[str]:
        """The names of the variables that may contain our settings."""
        return self.names | {f"{name}_FILE" for name in self.names}

    def _announce(self, what: str) -> None:
        self.console.indent(f"→ {what}")


COMMAND = Setting(
    name="COMMAND",
    help="What to do: `deploy`, `plan`, `doctor`, `run -- …` and so on",
    default="deploy",
)


def _undecided(near: Sequence[str], providers: Mapping[str, LayerClass]) -> str:
    if near:
        return f"is required, since settings of several providers are set: {', '.join(near)}."
    triggers = ", ".join(f"{cls.trigger} for {name}" for name, cls in sorted(providers.items()))
    return f"cannot be determined. Set DEPLOY_PROVIDER, or one of {triggers}."
