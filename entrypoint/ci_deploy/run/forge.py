"""The API of the platform that has the code: GitHub, GitLab, Forgejo or Gitea.

Sources: docs.github.com/rest, docs.gitlab.com/api/rest, docs.gitea.com and forgejo.org (their
GITHUB_API_URL ends with /api/v1; most paths are GitHub's, some lists have no pages).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ci_deploy.run.sending import exchange
from ci_deploy.settings.parsers import NOTHING

if TYPE_CHECKING:
    from ci_deploy.net.http import Response
    from ci_deploy.run.context import Context

PAGE, PAGES = 50, 100  # entries per page (responses are cut off after 4 MiB); most pages read
GITHUB, GITLAB, GITEA = "GitHub", "GitLab", "Forgejo or Gitea"


class Forge:
    """The platform's API, authenticated by a token. `url`: its base URL; `title`: the platform's
    name for messages. Redirects are not followed, since they would get the token."""

    def __init__(self, ctx: Context, token: str) -> None:
        self._ctx = ctx
        self.url = ctx.facts.api_url.rstrip("/")
        if ctx.ci.name == "gitlab":
            self.title, self._headers = GITLAB, {"PRIVATE-TOKEN": token}
        elif self.url.endswith("/api/v1"):
            self.title, self._headers = GITEA, {"Authorization": f"token {token}"}
        else:
            self.title = GITHUB
            self._headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }

    def send(self, method: str, path: str, **options: Any) -> Response:
        """Send one request to `path` below the API's URL; `options` are those of
        `sending.exchange`. Returns a response with status 2xx. Raises Busy, HttpError with the
        server's reason, Unreachable, Cancelled."""
        from ci_deploy.net.http import Busy, HttpError

        options |= {"headers": self._headers, "keep": method == "GET"}
        try:
            return exchange(self._ctx, self.title, method, self.url + path, **options)
        except Busy:
            raise
        except HttpError as error:
            said = f"{error.response.status} {_reason(error.response)}".strip()
            message = f"{self.title} answers {said}."
            raise HttpError(message, error.response) from None

    def entries(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield each entry (a JSON object) of the list at `path`, from at most PAGES pages.
        `query`: parameters of the URL. Raises HttpError, Unreachable, Cancelled."""
        from ci_deploy.net.http import HttpError

        for page in range(1, PAGES + 1):
            response = self.send("GET", path, params={**query, "per_page": PAGE, "page": page})
            try:
                found = response.json()
            except ValueError:
                message = f"the response of {self.title} is not JSON, or is too long."
                raise HttpError(message, response) from None
            yield from (each for each in found if isinstance(each, dict))
            if 'rel="next"' not in response.headers.get("Link", ""):
                return

    def account(self) -> dict[str, Any]:
        """The account that the token belongs to, as the API describes it; empty when the token may
        not query it (a job's own token), or the response is no JSON object. Raises HttpError,
        Unreachable, Cancelled."""
        from ci_deploy.net.http import HttpError

        try:
            found = self.send("GET", "/user").json()
        except (HttpError, ValueError) as error:
            if isinstance(error, HttpError) and error.response.status not in {401, 403, 404}:
                raise
            return {}
        return found if isinstance(found, dict) else {}


def _reason(response: Response) -> str:
    """The API's reason for a refusal, in one short line; empty for none."""
    try:
        said = response.json()
    except ValueError:
        return ""
    said = said if isinstance(said, dict) else NOTHING
    text = str(said.get("message") or said.get("error") or "")
    return " ".join(text.removeprefix(str(response.status)).split())[:120]
