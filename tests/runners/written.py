"""Projects whose pipeline file is what `ci-deploy init` writes, and their jobs on real runners."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from ci_deploy import __version__
from standins.engine import LABEL, docker
from standins.support import ROOT, Checkout, run
from tests.runners.examples import OURS, Server, act, action, gitlab_ci_local, reached, refresh

# In place of docker, which no job has here: what a build would call is shown.
NO_DOCKER = 'docker() { cat </dev/null; echo "docker $*"; }'
BRANCH = "feature/$(id)`id`"  # of the change; whoever may push chooses it
REVIEWED = r"-feature-id-id-\w+"  # what the name of its app has of it


class Jobs(ABC):
    """The jobs of one project; each of these starts a pipeline, and returns what it has printed."""

    ci: str
    url: str
    file: str
    removes = True  # whether a review app goes when its change is closed

    def __init__(self, path: Path, server: Server, image: str, *options: str, **files: str) -> None:
        self.server = server
        self.image = image
        self.made = Checkout(path, {"Procfile": "worker: sleep 600\n"})
        self.made.git("remote", "add", "origin", self.url)
        self.made.commit("App", files)
        done = run("ci-deploy", "init", "--yes", *options, cwd=path, env={})
        assert done.code == 0, done.output
        target = path / self.file
        target.write_text(self.patched(target.read_text()))
        self.commit()

    @abstractmethod
    def patched(self, text: str) -> str:
        """With our image in place of the released one, and nothing else that would be fetched."""

    def commit(self) -> str:
        """One more; its SHA."""
        head = self.made.commit("Next")
        refresh(self.made)
        return head

    @abstractmethod
    def staging(self) -> str:
        """What happens at a commit of the default branch."""

    @abstractmethod
    def production(self) -> str:
        """What somebody decides."""

    @abstractmethod
    def rollback(self) -> str:
        """Of production."""

    @abstractmethod
    def change(self) -> str:
        """A change of somebody's is there: the plan, and its review app."""

    @abstractmethod
    def closed(self) -> str:
        """The change is merged, or given up."""


def _output(done: subprocess.CompletedProcess[str]) -> str:
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


class GitLabJobs(Jobs):
    """Under gitlab-ci-local."""

    ci = "gitlab"
    url = "https://gitlab.com/acme/hello.git"
    file = ".gitlab-ci.yml"

    def patched(self, text: str) -> str:
        shutil.copytree(ROOT / "templates", self.made.path / "templates")
        text = text.replace(f"@{__version__}", "@$CI_COMMIT_SHA")
        text = text.replace(OURS, "$CI_SERVER_FQDN/$CI_PROJECT_PATH/")
        text = re.sub(r" +image: registry\.gitlab\.com/.*\n", "", text)
        text = text.replace("    inputs:\n", f"    inputs:\n      image: {self.image}\n")
        text = re.sub(r"  image: docker:\d+\n  services: .*\n", f"  image: {self.image}\n", text)
        return text.replace("  script:\n", f"  script:\n    - '{NO_DOCKER}'\n")

    def _run(self, *arguments: str) -> str:
        return _output(gitlab_ci_local(self.made, self.server, *arguments))

    def staging(self) -> str:
        return self._run()

    def production(self) -> str:
        return self._run("deploy:production")

    def rollback(self) -> str:
        return self._run("rollback")

    def change(self) -> str:
        return self._run(*self._change())

    def closed(self) -> str:
        return self._run("review:stop", *self._change())

    @staticmethod
    def _change() -> list[str]:
        facts = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7"}
        facts |= {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": BRANCH}
        given = [word for name, text in facts.items() for word in ("--variable", f"{name}={text}")]
        return [*given, "--unset-variable", "CI_COMMIT_BRANCH"]


class GitHubJobs(Jobs):
    """Under act."""

    ci = "github"
    url = "https://github.com/acme/hello.git"
    file = ".github/workflows/deploy.yml"

    def __init__(self, path: Path, server: Server, image: str, *options: str, **files: str) -> None:
        super().__init__(path, server, image, *options, **files)
        provider = options[options.index("--provider") + 1]
        self.released = action(path.parent / "action", image, provider)

    def patched(self, text: str) -> str:
        name = f"name: Deploy {self.made.path.parent.name}\n"  # act calls its containers after it
        more = "".join(f"  {each}: ${{{{ vars.{each} }}}}\n" for each in self.server_settings)
        text = text.replace("name: Deploy\n", f"{name}env:\n{more}" if more else name)
        return text.replace("        run: |\n", f"        run: |\n          {NO_DOCKER}\n")

    @property
    def server_settings(self) -> list[str]:
        """Variables of the project beside those that the file hands on by itself."""
        return [name for name in reached(self.server).settings if name != "SSH_SERVER_HOSTKEYS"]

    def _act(self, event: str, **payload: object) -> str:
        return _output(act(self.made, self.server, self.released, event, payload=payload))

    def staging(self) -> str:
        return self._act("push", ref="refs/heads/main", after=self.made.head)

    def production(self) -> str:
        self.made.git("tag", "--force", "v1.0.0")
        output = self._act("push", ref="refs/tags/v1.0.0", after=self.made.head)
        self.made.git("tag", "--delete", "v1.0.0")
        return output

    def rollback(self) -> str:
        wanted = {"command": "rollback", "environment": "production"}
        return self._act("workflow_dispatch", ref="refs/heads/main", inputs=wanted)

    def change(self) -> str:
        return self._pull_request("opened")

    def closed(self) -> str:
        return self._pull_request("closed")

    def _pull_request(self, action: str) -> str:
        ours = {"full_name": "acme/hello", "fork": False}
        pull = {
            "number": 7,
            "html_url": "https://github.com/acme/hello/pull/7",
            "head": {"sha": self.made.head, "ref": BRANCH, "repo": ours},
            "base": {"sha": self.made.head, "ref": "main", "repo": ours},
        }
        return self._act("pull_request", action=action, number=7, pull_request=pull)


class CircleCIJobs(Jobs):
    """In containers of our own: there is no runner of theirs that needs no account."""

    ci = "circleci"
    url = "git@github.com:acme/hello.git"
    file = ".circleci/config.yml"
    removes = False  # CircleCI says nothing of the end of a branch: a schedule does it

    def __init__(self, path: Path, server: Server, image: str, *options: str, **files: str) -> None:
        (path / ".circleci").mkdir(parents=True)
        super().__init__(path, server, image, *options, **files)
        (path / "build").mkdir()

    def patched(self, text: str) -> str:
        return text

    def _run(self, name: str, branch: str = "main") -> str:
        """A job of a workflow with its parameters filled in, and the variables of its context."""
        found = YAML(typ="safe", pure=True).load((self.made.path / self.file).read_text())
        uses = [
            each["ci-deploy"]
            for workflow in found["workflows"].values()
            for each in workflow["jobs"]
            if isinstance(each, dict) and each.get("ci-deploy", {}).get("name") == name
        ]
        assert len(uses) == 1, name
        job = found["jobs"]["ci-deploy"]
        values = {key: each.get("default", "") for key, each in job["parameters"].items()} | uses[0]

        def expand(text: str) -> str:
            return re.sub(r"<< parameters\.(\w+) >>", lambda match: str(values[match[1]]), text)

        network, secrets, settings = reached(self.server)
        given = {key: expand(text) for key, text in job["environment"].items()} | {**settings}
        (self.made.path / "build/tag").write_text(given.pop("DEPLOY_TAG", ""))
        given |= {key: text for key, text in secrets.items() if key != "SSH_PRIVATE_KEY"}
        if key := secrets.get("SSH_PRIVATE_KEY"):  # in the form that the first steps say
            given["SSH_PRIVATE_KEY"] = base64.b64encode(key.encode()).decode()
        facts = {"CIRCLECI": "true", "CIRCLE_SHA1": self.made.head, "CIRCLE_BRANCH": branch}
        facts |= {"CIRCLE_BUILD_NUM": "12"}
        env = [f"--env={key}={text}" for key, text in {**given, **facts}.items()]
        [command] = [step["run"] for step in job["steps"] if "run" in step]
        where = [f"--network={network}", f"--volume={self.made.path}:/w", "--workdir=/w"]
        shell = ["bash", "-eo", "pipefail", "-c", expand(command)]
        return _output(
            docker("run", "--rm", f"--label={LABEL}", *where, *env, self.image, *shell, check=False)
        )

    def staging(self) -> str:
        return self._run("deploy-staging")

    def production(self) -> str:
        return self._run("deploy-production")

    def rollback(self) -> str:
        return self._run("rollback")

    def change(self) -> str:
        return self._run("plan", BRANCH) + self._run("review", BRANCH)

    def closed(self) -> str:
        return self._run("sweep")


def live_through(
    jobs: Jobs, app: str, running: Callable[[str], str], revision: Callable[[], str]
) -> None:
    """Each job of the file, once, in the order of a project's life. `running`: what an app runs;
    `revision`: makes the next one, and says what it is called there."""
    first = revision()
    jobs.staging()
    assert (running(f"{app}-staging"), running(app)) == (first, "")
    jobs.production()
    assert running(app) == first
    second = revision()
    jobs.production()
    assert (running(f"{app}-staging"), running(app)) == (first, second)
    jobs.rollback()
    assert running(app) == first
    output = jobs.change()
    assert f"plan: deploy {app}-staging " in output, output
    review = re.search(f"{app}{REVIEWED}", output)
    assert review, output
    assert running(review[0]) == second
    assert (running(f"{app}-staging"), running(app)) == (first, first), "the plan changes nothing"
    jobs.closed()
    assert running(review[0]) == ("" if jobs.removes else second)
    assert running(app) == first
