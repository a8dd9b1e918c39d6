"""A stand-in of the APIs of GitHub, GitLab and Forgejo or Gitea on loopback: comments of pull and
merge requests, and GitHub's deployments.

Written from docs.github.com/rest (issues/comments, deployments), docs.gitlab.com/api/notes and
Gitea's swagger. Strict: every call is checked for method, path, query, header and the exact keys of
its body. What it does not know is noted in `wrong`, which a test has to find empty.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from standins.loopback import serving

TOKEN = "forge-token-0123456789abcdef"
GITHUB, GITLAB, GITEA = "github", "gitlab", "gitea"
LIMIT = 65536  # characters of a comment
STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
STATUS = {"state", "log_url", "description", "environment", "environment_url", "auto_inactive"}
DEPLOYMENT = {
    "ref", "task", "auto_merge", "required_contexts", "payload", "environment", "description",
    "transient_environment", "production_environment",
}  # fmt: skip
PERMISSIONS = ("pull-requests", "deployments")  # as in a job's `permissions:`
VERSION = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
Answer = tuple[int, Any]


@dataclass
class ForgeStandIn:
    """One project, its one pull or merge request (number 5), and what happens to it."""

    kind: str
    url: str = ""
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    rights: str = "write"  # `read`: only that; empty: the token is not known
    lacks: str = ""  # GitHub's permission that the token does not have: one of PERMISSIONS
    personal: bool = False  # the token is a person's (jane) and not the job's
    lose: int = 0  # answers to the next POSTs that get lost after all is done
    comments: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    numbers: int = 100

    def environ(self, number: str = "5") -> dict[str, str]:
        """What its CI tells a job about it."""
        if self.kind == GITLAB:
            return {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": self.url,
                "CI_PROJECT_ID": "42",
                "CI_PROJECT_URL": "https://gitlab.example.com/acme/web",
                "CI_JOB_URL": "https://gitlab.example.com/acme/web/-/jobs/7",
                "CI_MERGE_REQUEST_IID": number,
            }
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.url,
            "GITHUB_SERVER_URL": "https://github.example.com",
            "GITHUB_REPOSITORY": "acme/web",
            "GITHUB_RUN_ID": "7",
        }

    def add(self, body: str, author: str = "mallory") -> dict[str, Any]:
        """A comment that somebody writes."""
        self.numbers += 1
        person = {"id": sum(map(ord, author)), "login": author, "username": author}
        person["type"] = "Bot" if author.endswith("[bot]") else "User"
        made: dict[str, Any] = {"id": self.numbers, "body": body}
        made["author" if self.kind == GITLAB else "user"] = person
        self.comments.append(made)
        return made

    @property
    def me(self) -> str:
        """Whose the token is."""
        if self.personal or self.kind == GITLAB:
            return "jane" if self.personal else "project_42_bot"
        return "github-actions[bot]" if self.kind == GITHUB else "gitea-actions"

    @property
    def bodies(self) -> list[str]:
        """The comments' texts."""
        return [comment["body"] for comment in self.comments]

    # --- answering ---

    def answer(self, method: str, target: str, body: Any, headers: Any) -> Answer:
        """Status and JSON."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        path = parts.path.removeprefix(urlsplit(self.url).path)
        self.calls.append(f"{method} {path}")
        header = {GITHUB: "Authorization", GITEA: "Authorization", GITLAB: "PRIVATE-TOKEN"}
        words = {GITHUB: "Bearer ", GITEA: "token ", GITLAB: ""}
        if headers.get(header[self.kind]) not in {f"{words[self.kind]}{t}" for t in self.tokens}:
            return self._refuse(f"{method} {path}: no token", 401)
        if not self.rights:
            return 401, {
                "message": "401 Unauthorized" if self.kind == GITLAB else "Bad credentials"
            }
        if self.kind == GITHUB and any(headers.get(name) != VERSION[name] for name in VERSION):
            return self._refuse(f"{method} {path}: no version of the API")
        if method != "GET" and (self.rights == "read" or self.lacks == self._permission(path)):
            told = (
                "403 Forbidden" if self.kind == GITLAB else "Resource not accessible by integration"
            )
            return 403, {"message": told}
        if method in {"POST", "PUT", "PATCH"} and headers.get("Content-Type") != "application/json":
            return self._refuse(f"{method} {path}: no JSON")
        if path == "/user" and method == "GET":
            return self._user()
        if self.kind == GITHUB and "/deployments" in path:
            return self._deployment(
                method, path.removeprefix("/repos/acme/web/deployments"), query, body
            )
        return self._comment(method, path, query, body)

    def _permission(self, path: str) -> str:
        return PERMISSIONS[path.startswith("/repos/acme/web/deployments")]

    def _user(self) -> Answer:
        if self.kind != GITLAB and not self.personal:
            return 403, {"message": "Resource not accessible by integration"}
        return 200, {"id": sum(map(ord, self.me)), "login": self.me, "username": self.me}

    def _comment(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        gitlab = self.kind == GITLAB
        every = (
            "/projects/42/merge_requests/5/notes"
            if gitlab
            else ("/repos/acme/web/issues/5/comments")
        )
        one = every if gitlab else "/repos/acme/web/issues/comments"
        if path == every and method == "GET":
            known = {"per_page", "page", *({"sort", "order_by"} if gitlab else ())}
            if set(query) - known or not 1 <= int(query["per_page"]) <= 100:
                return self._refuse(f"query {query}")
            if self.kind == GITEA:  # this list has no pages there
                return 200, self.comments
            newest_first = gitlab and query.get("sort") != "asc"
            return 200, self._page(self.comments[:: -1 if newest_first else 1], query)
        if method in {"POST", "PUT", "PATCH"} and (
            set(body) != {"body"} or not body["body"].strip()
        ):
            return self._refuse(f"body {body}")
        if path == every and method == "POST":
            if len(body["body"]) > LIMIT:
                return 422, {"message": "Validation Failed"}
            return 201, self.add(body["body"], self.me)
        edited = re.fullmatch(rf"{one}/(\d+)", path)
        if edited and method == ("PUT" if gitlab else "PATCH"):
            for comment in self.comments:
                if comment["id"] == int(edited[1]):
                    if gitlab and comment["author"]["username"] != self.me:
                        return 403, {"message": "403 Forbidden"}
                    comment["body"] = body["body"]
                    return 200, comment
            return 404, {"message": "404 Not found" if gitlab else "Not Found"}
        return self._refuse(f"{method} {path}")

    def _deployment(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "" and method == "GET":
            if set(query) - {"per_page", "page", "environment", "task", "ref", "sha"}:
                return self._refuse(f"query {query}")
            wanted = {key: query[key] for key in ("environment", "task") if key in query}
            found = [each for each in self.deployments[::-1] if wanted.items() <= each.items()]
            return 200, self._page(found, query)
        if path == "" and method == "POST":
            return self._create(body)
        match = re.fullmatch(r"/(\d+)(/statuses)?", path)
        found = [each for each in self.deployments if match and each["id"] == int(match[1])]
        if not match or not found:
            return 404, {"message": "Not Found"}
        if match[2] and method == "POST":
            return self._status(found[0], body)
        if match[2] and method == "GET":
            if set(query) - {"per_page", "page"}:
                return self._refuse(f"query {query}")
            return 200, found[0]["statuses"][::-1]
        if not match[2] and method == "DELETE":
            states = [each["state"] for each in found[0]["statuses"]]
            if len(self.deployments) > 1 and states[-1:] != ["inactive"]:
                return 422, {"message": "We cannot delete an active deployment"}
            self.deployments.remove(found[0])
            return 204, None
        return self._refuse(f"{method} {path}")

    def _create(self, body: Any) -> Answer:
        if set(body) - DEPLOYMENT or "ref" not in body or len(body.get("description", "")) > 140:
            return self._refuse(f"deployment {body}")
        if body.get("required_contexts") != []:
            return 409, {"message": "Conflict: Commit status checks failed"}
        if body.get("auto_merge", True):
            return 202, {"message": "Auto-merged"}
        self.numbers += 1
        made = {**body, "id": self.numbers, "sha": body["ref"], "statuses": []}
        self.deployments.append(made)
        return 201, made

    def _status(self, deployment: dict[str, Any], body: Any) -> Answer:
        if set(body) - STATUS or body.get("state") not in STATES:
            return self._refuse(f"status {body}")
        if len(body.get("description", "")) > 140:
            return 422, {"message": "Validation Failed"}
        deployment["statuses"].append(body)
        if body["state"] == "success" and body.get("auto_inactive", True):
            for other in self.deployments:
                here = other["environment"] == deployment["environment"]
                lasting = not (other["transient_environment"] or other["production_environment"])
                if other is not deployment and here and lasting:
                    other["statuses"].append({"state": "inactive"})
        return 201, body

    def _page(self, entries: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        size, page = int(query["per_page"]), int(query["page"])
        self._more = len(entries) > size * page
        return entries[size * (page - 1) : size * page]

    _more = False

    def _refuse(self, why: str, status: int = 400) -> Answer:
        self.wrong.append(why)
        return status, {"message": why}


@contextmanager
def forge(kind: str) -> Iterator[ForgeStandIn]:
    """A server that runs until the block is left."""
    state, lock = ForgeStandIn(kind), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            text = self.rfile.read(length)
            with lock:
                body = json.loads(text) if text else None
                status, answer = state.answer(self.command, self.path, body, self.headers)
                more, state._more = state._more, False
            if self.command == "POST" and state.lose:
                state.lose -= 1
                return
            out = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(out)))
            if more:
                self.send_header("Link", '<https://elsewhere.example.com/?page=2>; rel="next"')
            self.end_headers()
            self.wfile.write(out)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with serving(Handler, threading.Event()) as url:
        state.url = url + {GITHUB: "", GITLAB: "/api/v4", GITEA: "/api/v1"}[kind]
        yield state
