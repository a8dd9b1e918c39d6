"""The API of the platform that has the code: GitHub, GitLab, Forgejo or Gitea.

Facts: docs.github.com/rest, docs.gitlab.com/api/rest, docs.gitea.com and forgejo.org (their
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

PAGE, PAGES = 50, 100  # entries of a page, since answers are cut after 4 MiB; pages at most
GITHUB, GITLAB, GITEA = "GitHub", "GitLab", "Forgejo or Gitea"


class Forge:
    """Its API, with a token. Redirects are not followed, since they would take the token along."""

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
        """One request. Raises HttpError with the server's reason, Unreachable."""
        from ci_deploy.net.http import Busy, HttpError

        try:
            return exchange(
                self._ctx, self.title, method, self.url + path, headers=self._headers, **options
            )
        except Busy:
            raise
        except HttpError as error:
            said = f"{error.response.status} {_reason(error.response)}".strip()
            message = f"{self.title} answers {said}."
            raise HttpError(message, error.response) from None

    def entries(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Each entry of a list, from all of its pages."""
        from ci_deploy.net.http import HttpError

        for page in range(1, PAGES + 1):
            response = self.send("GET", path, params={**query, "per_page": PAGE, "page": page})
            try:
                found = response.json()
            except ValueError:
                message = f"{self.title} answers with what is no JSON, or too long."
                raise HttpError(message, response) from None
            yield from (each for each in found if isinstance(each, dict))
            if 'rel="next"' not in response.headers.get("Link", ""):
                return

    def account(self) -> dict[str, Any]:
        """Whose the token is; empty where a job's own token may not ask."""
        from ci_deploy.net.http import HttpError

        try:
            found = self.send("GET", "/user").json()
        except (HttpError, ValueError) as error:
            if isinstance(error, HttpError) and error.response.status not in {401, 403, 404}:
                raise
            return {}
        return found if isinstance(found, dict) else {}


def _reason(response: Response) -> str:
    """What an API says of a refusal, in one short line."""
    try:
        said = response.json()
    except ValueError:
        return ""
    said = said if isinstance(said, dict) else NOTHING
    text = str(said.get("message") or said.get("error") or "")
    return " ".join(text.removeprefix(str(response.status)).split())[:120]
