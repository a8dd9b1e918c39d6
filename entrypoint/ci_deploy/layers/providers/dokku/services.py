"""Services of Dokku's plugins (postgres, mysql, redis …): created, linked and destroyed.

Source: dokku-postgres 1.48; the other official plugins use the same template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ci_deploy.errors import DeployFailed, Problem, Refused, SettingsError
from ci_deploy.layers.providers.dokku.answers import (
    absent,
    ended,
    linked_already,
    no_such_command,
    plugins,
)
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.layers.providers.dokku.settings import Service, service_name
from ci_deploy.process.program import Change, CommandFailed, Result
from ci_deploy.settings.parsers import nearest

KNOWN = (
    "postgres", "mysql", "mariadb", "redis", "mongo", "rabbitmq", "elasticsearch", "memcached",
)  # fmt: skip


class Services:
    """The services of DOKKU_SERVICES for one app; `look` finds out which of them are missing or not
    linked. With `own` (a review app) names in DOKKU_SERVICES do not count (`Service.name`)."""

    def __init__(
        self, server: DokkuServer, app: str, wanted: Sequence[Service], *, own: bool
    ) -> None:
        self._server = server
        self._app = app
        self._own = own
        self._names = {service: service.name(app, own=own) for service in wanted}
        self._missing: list[Service] = []
        self._unlinked: list[Service] = []

    def questions(self) -> list[list[str]]:
        """The queries about the services (`TYPE:exists NAME`); `look` takes their answers."""
        return [[f"{service.kind}:exists", name] for service, name in self._names.items()]

    def look(self, answers: Sequence[Result], config: Mapping[str, str]) -> None:
        """Take the answers to `questions`, in their order, and the app's config, whose URLs show
        what is linked.

        Raises SettingsError when a plugin is missing, Refused for a service of another app that
        DOKKU_SERVICES does not name, DeployFailed when the server cannot tell either, Unreachable.
        """
        for (service, name), exists in zip(self._names.items(), answers, strict=True):
            if no_such_command(exists):
                meant = [] if service.kind in KNOWN else nearest(service.kind, KNOWN)
                url = f"https://github.com/dokku/dokku-{service.kind}.git"
                remedy = f"On the server: `sudo dokku plugin:install {url}`."
                remedy = f"Did you mean `{meant[0]}`?" if meant else remedy
                reason = f"the server has no plugin for {service.kind}."
                raise SettingsError(Problem("DOKKU_SERVICES", reason, "", remedy))
            if absent(exists, f"the {service.kind} service {name}"):
                self._missing.append(service)
            if not any(is_address(value, service.kind, name) for value in config.values()):
                self._unlinked.append(service)
        self._guard_foreign()

    def _guard_foreign(self) -> None:
        """Refuse a service that exists, is linked to other apps and was not named by the user.

        Raises Refused, DeployFailed.
        """
        doubtful = [
            service
            for service in self._unlinked
            if service not in self._missing and (self._own or not service.given)
        ]
        if not doubtful:
            return
        asked = self._server.ask(*([f"{s.kind}:links", self._names[s]] for s in doubtful))
        for service, answer in zip(doubtful, asked, strict=True):
            name = self._names[service]
            if answer.exit_code and not no_such_command(answer):
                message = f"the server cannot tell which apps use the {service.kind} service {name}"
                hint = f"On the server, `dokku {service.kind}:links {name}` shows why."
                raise DeployFailed(f"{message} ({ended(answer)}).", hint=hint)
            others = [app for app in answer.text.split() if app != self._app]
            if answer.exit_code == 0 and others:
                raise self._foreign(service, name, others)

    def _foreign(self, service: Service, name: str, others: Sequence[str]) -> Refused:
        kind, app = service.kind, self._app
        linked = f"the {kind} service {name} is linked to {', '.join(others)}"
        message = f"{linked}, so it is not linked to {app} too."
        hint = (
            f"In DOKKU_SERVICES, `{kind}={name}` shares this service, and `{kind}=NAME` with a new "
            "name creates another one."
        )
        if self._own:
            hint = (
                "A review app shares no service: unlink it from those apps on the server "
                f"(`dokku {kind}:unlink {name} APP`), or set REVIEW_APP_NAME to another name."
            )
        return Refused(message, hint=hint)

    def is_own(self, value: str) -> bool:
        """Whether `value`, of a variable, is the address of one of these services."""
        return any(is_address(value, each.kind, name) for each, name in self._names.items())

    @property
    def complete(self) -> bool:
        """Whether every service exists and is linked to the app."""
        return not self._missing and not self._unlinked

    def creations(self) -> list[Change]:
        """The changes that create the missing services. They can be made in parallel, and before
        the app exists."""
        return [
            self._server.prepared(
                [
                    f"{service.kind}:create",
                    self._names[service],
                    *(["--image-version", service.version] if service.version else []),
                ],
                what=f"create the {service.kind} service {self._names[service]}",
                quiet=True,  # its last lines are the URL, with the password
            )
            for service in self._missing
        ]

    def link(self) -> None:
        """Link the services that are not linked yet, which sets DATABASE_URL and the like on the
        app, without a restart: the deploy follows. Raises CommandFailed, OutcomeUnknown."""
        for service in self._unlinked:
            name = self._names[service]
            what = f"link {name} to {self._app}"
            words = [f"{service.kind}:link", name, self._app, "--no-restart"]
            done = self._server.change(words, what=what, quiet=True, ok=None)
            if done.exit_code and not linked_already(done):
                raise CommandFailed(done, what)


def is_address(value: str, kind: str, name: str) -> bool:
    """Whether `value`, like `redis://:secret@dokku-redis-hello:6379`, is the URL of the service
    `name` of the type `kind`."""
    host = re.escape(f"dokku-{kind}-{name}".replace("_", "-"))
    return re.search(rf"://(\S*@)?{host}[:/]", value) is not None


def destroy(server: DokkuServer, app: str, found: Sequence[tuple[str, str]]) -> None:
    """Unlink the services `found`, pairs (type, name), from the app, and destroy them. Raises
    CommandFailed, as for a service that is linked to another app: Dokku refuses to destroy that."""
    if not found:
        return
    linked = server.ask(*([f"{kind}:links", name] for kind, name in found))
    for (kind, name), apps in zip(found, linked, strict=True):
        if app in apps.text.split():
            words = [f"{kind}:unlink", name, app, "--no-restart"]
            server.change(words, what=f"unlink {name} from {app}", quiet=True)
        server.change(
            [f"{kind}:destroy", name, "--force"], what=f"destroy the {kind} service {name}"
        )


def of_app(server: DokkuServer, app: str) -> list[tuple[str, str]]:
    """The existing services with the default names for this app (`service_name`), as pairs (type,
    name), of the types in KNOWN. Raises DeployFailed when the server cannot list its plugins, or
    cannot tell whether a service exists."""
    listed = server.ask(["plugin:list"])[0]
    if listed.exit_code:
        message = f"the server cannot list its plugins ({ended(listed)})."
        hint = (
            f"Nothing of {app} was removed. Run `dokku plugin:list` on the server, fix the error "
            "that it shows, then run the job again."
        )
        raise DeployFailed(message, hint=hint)
    names = [(kind, service_name(app, kind)) for kind in KNOWN if kind in plugins(listed)]
    if not names:
        return []
    there = server.ask(*([f"{kind}:exists", name] for kind, name in names))
    return [
        (kind, name)
        for (kind, name), answer in zip(names, there, strict=True)
        if not (no_such_command(answer) or absent(answer, f"the {kind} service {name}"))
    ]
