"""Everybody whom a deploy tells, on loopback, and all that they were told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from standins.forge import GITHUB, GITLAB, ForgeStandIn, forge
from standins.mail import Inbox, certificate, mail_server
from standins.sentry import ORG, SentryStandIn, sentry
from standins.webhooks import Webhooks, webhooks
from tests.hostile.values import NOBODY

HOOKS = ("MATTERMOST_WEBHOOK_URL", "SLACK_WEBHOOK_URL", "NOTIFY_WEBHOOK_URL")


@dataclass
class Receivers:
    """`env`: the settings that lead to them, with the secrets that they know."""

    env: dict[str, str]
    inbox: Inbox
    sentry: SentryStandIn
    hooks: dict[str, Webhooks] = field(default_factory=dict)
    forge: ForgeStandIn | None = None

    def heard(self) -> dict[str, str]:
        """Who was told → all of it, as it came and decoded."""
        found = {name: "\n".join(map(_request, hook.requests)) for name, hook in self.hooks.items()}
        found["mail"] = "\n".join(
            f"{mail.as_string()}\n{mail['Subject']}\n{part.get_content()}"
            for mail in self.inbox.messages
            for part in mail.walk()
            if not part.is_multipart()
        )
        found["Sentry"] = "\n".join(
            f"{unquote(call.path)} {unquote(call.query)} {call.agent} {_strings(call.body)}"
            for call in self.sentry.calls
        )
        if self.forge:
            told = [self.forge.calls, self.forge.comments, self.forge.deployments]
            found["forge"] = _strings(told)
        return found


def _request(request: tuple[str, dict[str, str], bytes]) -> str:
    """Without the path, which is the secret of the receiver itself."""
    _path, headers, body = request
    return f"{headers}\n{body.decode()}\n{_strings(json.loads(body))}"


def _strings(value: Any) -> str:
    """All texts in it, a line each."""
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return "\n".join(map(_strings, value))
    return str(value)


@contextmanager
def receivers(secrets: Mapping[str, str], kind: str, folder: Path) -> Iterator[Receivers]:
    """They run until the block is left; `kind`: that of the platform, empty for none."""
    context, ca = certificate(folder)
    with ExitStack() as stack:
        inbox = stack.enter_context(mail_server(context=context, tls="starttls", auth=True))
        server = stack.enter_context(sentry())
        server.token = secrets["SENTRY_AUTH_TOKEN"]
        smtp = secrets["NOTIFY_SMTP_URL"].replace(NOBODY, f"127.0.0.1:{inbox.port}")
        inbox.user, inbox.password = urlsplit(smtp).username or "", urlsplit(smtp).password or ""
        env = {
            "CA_BUNDLE": str(ca),
            "NOTIFY_SMTP_URL": smtp,
            "NOTIFY_EMAIL_FROM": "ci@example.com",
            "NOTIFY_EMAIL_TO": "team@example.com",
            "SENTRY_URL": server.url,
            "SENTRY_ORG": ORG,
            "SENTRY_PROJECT": "web",
            "DEPLOY_ENVIRONMENT": "staging",
        }
        found = Receivers(env, inbox, server)
        for name in HOOKS:
            hook = found.hooks[name] = stack.enter_context(webhooks())
            env[name] = secrets[name].replace(NOBODY, urlsplit(hook.url).netloc)
        if kind:
            found.forge = stack.enter_context(forge(kind))
            found.forge.tokens = {secrets["COMMENT_TOKEN"], secrets["DEPLOYMENTS_TOKEN"]}
            env |= found.forge.environ()
        yield found


def change(kind: str, path: Path, head: str, event: Path) -> dict[str, str]:
    """What a platform tells a job of a pull or merge request."""
    if kind == GITLAB:
        return {
            "CI_PROJECT_DIR": str(path),
            "CI_COMMIT_SHA": head,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
        }
    if kind != GITHUB:
        return {}
    repository = {"full_name": "acme/web", "default_branch": "main"}
    pull = {"number": 5, "head": {"repo": repository, "sha": head, "ref": "topic"}}
    event.write_text(json.dumps({"pull_request": pull, "repository": repository}))
    return {
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "topic",
        "GITHUB_SHA": head,
        "GITHUB_WORKSPACE": str(path),
    }
