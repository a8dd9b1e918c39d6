"""Sentry's API (`SentryApi`), for what sentry-cli cannot do: reading, and setting the commits of a
release without a linked repository. Source: docs.sentry.io/api."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ci_deploy.layers.third_parties.sentry.account import Account
from ci_deploy.layers.third_parties.sentry.errors import refusal
from ci_deploy.layers.third_parties.sentry.time_budget import TimeBudget

if TYPE_CHECKING:
    from ci_deploy.net.http import Http, Response

PAGES = 5  # most pages read of the list of repositories, 100 entries each
NEXT = re.compile(r'<([^>]+)>; rel="next"; results="true"')


class SentryApi:
    """The releases of the account's organization, by Sentry's API. All methods take their time from
    a `TimeBudget`, repeat what failed for a time, and raise Unauthorized, Unreachable (also when
    the time is used up, or for 429 and 5xx), DeployFailed for any other refusal, Cancelled."""

    def __init__(self, account: Account, http: Http) -> None:
        self._account = account
        self._http = http
        self._base = f"{account.url}/api/0/organizations/{quote(account.org, safe='')}"
        self._headers = {"Authorization": f"Bearer {account.token}"}

    def linked(self, ours: str, budget: TimeBudget) -> str:
        """The name in Sentry of the repository `ours` (`acme/web`, in lower case); empty if it is
        not linked there, or not among the first PAGES pages of the list.
        """
        return next(
            (str(each["name"]) for each in self._repositories(budget) if _is(ours, each)), ""
        )

    def _repositories(self, budget: TimeBudget) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        url = f"{self._base}/repos/?per_page=100"
        for _ in range(PAGES):
            answer = self._read(url, "read the repositories", budget)
            found += _list(answer)
            following = NEXT.search(answer.headers.get("Link", ""))
            if not following or not following[1].startswith(self._base):
                break
            url = following[1]
        return found

    def recorded(self, version: str, environment: str, started: int, budget: TimeBudget) -> bool:
        """Whether Sentry has a deploy of the release `version` to `environment` that started at
        `started` (Unix time, in seconds); False when it does not know the release."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started))
        return any(
            each.get("environment") == environment
            and str(each.get("dateStarted") or "").startswith(at)
            for each in self.deploys(version, budget) or ()
        )

    def deploys(self, version: str, budget: TimeBudget) -> list[dict[str, Any]] | None:
        """The deploys of the release `version` (the first page of them), each as the JSON object of
        the API; None when Sentry does not know the release."""
        url = f"{self._base}/releases/{quote(version, safe='')}/deploys/"
        answer = self._read(url, "read the deploys", budget, missing=404)
        return None if answer.status == 404 else _list(answer)

    def set_commits(self, version: str, commits: list[dict[str, Any]], budget: TimeBudget) -> None:
        """Replace the commits of the release `version` by `commits`, in the format of `commits.py`;
        can be repeated without harm. Announced as a change, and not sent when planning."""
        url = f"{self._base}/releases/{quote(version, safe='')}/"
        said = f"Sentry: set the commits of {version}: {len(commits)} from git"

        def put(seconds: float) -> None:
            nonlocal said
            what, said = said, ""  # announced once, however often it is tried
            body = {"commits": commits}
            answer = self._http.change(
                "PUT", url, what=what, timeout=seconds, headers=self._headers, json=body
            )
            _good(answer, "set the commits")

        budget.call("set the commits", put)

    def _read(self, url: str, what: str, budget: TimeBudget, missing: int = 0) -> Response:
        """GET a page; the status `missing` is returned instead of raised."""

        def get(seconds: float) -> Response:
            answer = self._http.read(url, headers=self._headers, timeout=seconds, keep=True)
            return answer if answer.status == missing else _good(answer, what)

        return budget.call(what, get)


def _good(answer: Response, what: str) -> Response:
    """Return a successful response; raise the error that another one means."""
    if answer.ok:
        return answer
    try:
        body = answer.json()
        words = str(body.get("detail") or body) if isinstance(body, dict) else str(body)
    except ValueError:
        words = ""
    raise refusal(answer.status, words, what, retry_after=answer.retry_after)


def _is(ours: str, repository: dict[str, Any]) -> bool:
    """Whether a repository in Sentry is ours and linked. GitLab's are called `acme / web`; one
    without a provider is only a name."""
    provider, name = repository.get("provider"), str(repository.get("name") or "")
    linked = isinstance(provider, dict) and provider.get("id") not in {None, "unknown"}
    path = urlsplit(str(repository.get("url") or "")).path.strip("/").lower()
    return bool(linked and ours and ours in {name.replace(" / ", "/").lower(), path})


def _list(answer: Response) -> list[dict[str, Any]]:
    try:
        found = answer.json()
    except ValueError:
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
