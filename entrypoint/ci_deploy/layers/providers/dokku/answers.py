"""Parses a Dokku server's answers: reports, and the messages of a deploy.

Sources: the documentation of Dokku 0.38 (deployment/application-management, deployment/methods/git,
processes/process-management); the messages are explained in docs/dokku-messages.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ci_deploy.errors import DeployFailed
from ci_deploy.git.revision import SHA
from ci_deploy.process.program import Result
from ci_deploy.settings.lines import from_json


def no_such_command(answer: Result) -> bool:
    """Whether the server does not know the command: its plugin is not installed, or Dokku is too
    old for it."""
    return "is not a dokku command" in answer.errors + answer.text


def foreign_key(answer: Result) -> bool:
    """Whether a shell has answered instead of Dokku, so the key was not added with `dokku
    ssh-keys:add`."""
    return answer.exit_code == 127 and "command not found" in answer.errors


def denied(answer: Result) -> str:
    """The acl plugin's message, which names the command that it denies; empty for none."""
    pattern = r"(?m)^[\s!]*(.*(?:Access denied|does not have permission).*?)\s*$"
    found = re.search(pattern, answer.errors)
    return found[1] if found else ""


def corrupt_config(answer: Result) -> bool:
    """Whether Dokku cannot parse the app's file of variables."""
    said = "\n".join(answer.lines) + answer.errors
    pattern = r"unterminated quoted value|unexpected character|zero length string"
    return re.search(pattern, said) is not None


def linked_already(answer: Result) -> bool:
    """Whether `TYPE:link` failed since the service is linked to the app already."""
    return any("Already linked" in line for line in answer.lines)


def plugins(answer: Result) -> frozenset[str]:
    """The names of the enabled plugins: in each line `plugin:list` shows a name, perhaps a version,
    and the state."""
    lines = (line.split() for line in answer.text.splitlines())
    return frozenset(words[0] for words in lines if "enabled" in words[1:3])


def absent(answer: Result, what: str) -> bool:
    """Whether `what`, like "the app web", does not exist: the query failed with that message, or
    without a word.

    Raises DeployFailed when it failed for another reason: an existing app or service would be
    created again, or left behind.
    """
    said = f"{answer.text}\n{answer.errors}".strip()
    if not answer.exit_code or not said or re.search(r"(?i)(app|service) \S+ does not exist", said):
        return answer.exit_code != 0
    last = said.splitlines()[-1].strip(" !")
    message = f"the server cannot tell whether {what} exists (exit code {answer.exit_code}): {last}"
    raise DeployFailed(message, hint="Fix that on the server, then run the job again.")


def ended(answer: Result) -> str:
    """How a query failed, for a message: its exit code, and the last line of its stderr if it has
    one. Not for queries of the config, whose errors quote values."""
    last = answer.errors.splitlines()[-1:]
    return ": ".join([f"exit code {answer.exit_code}", *(line.strip(" !") for line in last)])


def report(answer: Result) -> dict[str, str]:
    """Parse a report: ` Git deploy branch: main` → {"deploy branch": "main"}.

    All versions have this text form; before 0.38 its keys begin with the plugin's name.
    """
    lines = answer.text.splitlines()
    heading = re.search(r"\b(\w+) information", lines[0]) if lines else None
    plugin = f"{heading[1]} " if heading else ""
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip().lower().removeprefix(plugin): value.strip() for key, _, value in pairs}


def builds(answer: Result) -> list[dict[str, str]]:
    """Parse `builds:list --format json` (0.38): for each build id, source, status, started_at and
    more. Empty if it cannot be parsed, as before 0.38."""
    try:
        found = from_json(answer.out or b"[]")
    except ValueError:
        return []
    entries = found if isinstance(found, list) else []
    return [{key: str(each[key]) for key in each} for each in entries if isinstance(each, dict)]


def seconds(duration: str) -> float:
    """Parse a duration as Go prints it: `1m6s` → 66.0 seconds; inf if it cannot be parsed."""
    parts = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)(h|ms|m|s)", duration)
    scale = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(number) * scale[unit] for number, unit in parts) if parts else float("inf")


def version(answer: Result) -> tuple[int, ...]:
    """Parse `dokku version 0.38.27` → (0, 38, 27); empty if it cannot be parsed."""
    match = re.search(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", answer.text)
    return tuple(map(int, match.groups())) if match else ()


def revision(metadata: str) -> str:
    """The deploy source's metadata if it is a commit, else empty.

    Dokku writes it after a successful deploy. GIT_REV is set before the build, and the git plugin's
    `sha` is only the repository's HEAD, so neither can be used.
    """
    return metadata if SHA.fullmatch(metadata) else ""


def wants_none(scale: Result) -> bool:
    """Whether `ps:scale` wants no process at all."""
    counts = re.findall(r"(?m)^[\w-]+: +(\d{1,9})$", scale.text)
    return scale.exit_code == 0 and not any(map(int, counts))


def address(urls: Iterable[str]) -> str:
    """The first https URL of an app, or else its first URL; empty for none."""
    found = list(urls)
    return next(iter([url for url in found if url.startswith("https://")] or found), "")


# Dokku's messages when a deploy does not happen or fails (docs/dokku-messages.md explains them).
# pattern → message, hint. The first match wins.
DEPLOYED = re.compile(r"Application deployed:")
SKIPPED = re.compile(r"Skipping deployment")
BUILDING = re.compile(r"-----> (Cleaning up|Building)")
DEPLOYING = re.compile(r"-----> Deploying ")
# Not `release`, nor what buildpacks add for one-off commands: those are never scaled up.
UNSTARTED = re.compile(
    r"-----> Deploying (?!(?:release|console|rake) )(?P<process>[\w-]+) \(count=0\)"
)
CHECKING = re.compile(r"Attempting pre-flight checks \((?P<dyno>[\w.-]+)\)")
RENAMING = re.compile(r"-----> Renaming containers")
URL = re.compile(  # after "Application deployed:"
    r"^(?:remote: +)?(?:\x1b\[\d*G)? *(?P<url>https?://[^\s\x1b]+)\s*(?:\x1b\[K)?\s*$"
)
NOT_YET = re.compile(r"App not currently deploying|No matching app deploy found")  # builds:cancel
UNCHANGED = re.compile(r"No changes detected")
LOCKED = re.compile(r"currently has a deploy lock in place")
UP_TO_DATE = re.compile(r"Everything up-to-date")
REJECTED = re.compile(r"\[rejected\].*\((non-fast-forward|fetch first|stale info)\)")
NOT_MOVED = re.compile(  # by git, after the hook that deploys has succeeded
    r"^ ! \[remote rejected\].*\((?!pre-receive hook declined)(?P<why>[^()]+)\)$"
)
WHY_NOT_MOVED = re.compile(r"^remote: error: (.*\bref(s/heads/|\b).*|refusing to update .*)")
RACED = re.compile(r"is at [0-9a-f]{40,64} but expected|reference already exists")
LOST = re.compile(
    r"remote end hung up|Connection (to \S+ )?(closed by|reset)|Connection closed|Broken pipe"
    r"|early EOF|unexpected disconnect|Could not read from remote repository"
    r"|^error: .* died of signal \d+$"
)
REPAIR = "Its output above shows what to fix."
REASONS: Mapping[re.Pattern[str], tuple[str, str]] = {
    re.compile(r"you must push to (?P<a>\S+?)\.?$"): (
        "the push went to a branch that Dokku does not deploy; it deploys `{a}`.",
        "Unset DOKKU_DEPLOY_BRANCH, or set it to `{a}`.",
    ),
    re.compile(r"Invalid branch name '(?P<a>[^']*)'"): (
        "the app's deploy branch `{a}` is not a valid branch name.",
        "On the server: `dokku git:set {app} deploy-branch main`.",
    ),
    re.compile(r"Execution of (?P<a>\w+) task failed: (?P<b>.*)"): (
        "the {a} task failed: {b}",
        REPAIR,
    ),
    re.compile(r"required env var (?P<a>\S+) has no value"): (
        "app.json requires the variable {a}, which is not set on the app.",
        "Set it with APP_CONFIG, or on the server with `dokku config:set`.",
    ),
    re.compile(r"Could not start due to (?P<a>.*)"): (
        "the release did not start: {a}",
        "On the server, `dokku logs:failed {app}` shows its output.",
    ),
    re.compile(r"Specified build-dir not found in sourcecode working directory: (?P<a>.*)"): (
        (
            "Dokku builds the directory {a} (its `build-dir`), which does not exist in the "
            "code that was sent."
        ),
        "On the server, `dokku builder:set {app} build-dir` unsets it; APP_DIR sets it.",
    ),
    re.compile(r"clone of '(?P<a>[^']*)' into submodule path '(?P<b>[^']*)' failed"): (
        "the server cannot clone the submodule {b} from {a}.",
        (
            "Set DEPLOY_METHOD=archive, which sends it from the checkout. Or give the server "
            "access: for an https URL by `dokku git:auth`; for an ssh URL by `dokku "
            "git:allow-host` and `dokku git:generate-deploy-key`, and by adding that key where the "
            "submodule is hosted."
        ),
    ),
    re.compile(r"App build failed"): (
        "the build failed.",
        REPAIR,
    ),
    re.compile(r"Archive contains symlinks (with absolute targets|pointing outside)"): (
        "Dokku rejects archives with symbolic links that contain `..` or start with `/`.",
        "Set DEPLOY_METHOD=push, which allows them.",
    ),
    re.compile(r"Archive contains \d+ entries which exceeds the maximum of (?P<a>\d+)"): (
        "the archive has too many files for Dokku (limit: {a}).",
        (
            "Raise the limit on the server: `dokku git:set --global archive-max-files N`; or set "
            "DEPLOY_METHOD=push, which has no limit."
        ),
    ),
    re.compile(r"Archive exceeds maximum allowed size of (?P<a>\d+)"): (
        "the archive is too large for Dokku (limit: {a} bytes).",
        (
            "Raise the limit on the server: `dokku git:set --global archive-max-size N`; or set "
            "DEPLOY_METHOD=push, which has no limit."
        ),
    ),
    re.compile(r"Failed to pull image: (?P<a>\S+)"): (
        "the server cannot pull the image {a}.",
        "Check that it was pushed; a private registry needs `dokku registry:login` on the server.",
    ),
    re.compile(r"auto-creation disabled"): (
        "the app does not exist, and Dokku is configured not to create apps.",
        "Create it on the server with `dokku apps:create {app}`, or set DOKKU_CREATE_APP=true.",
    ),
    re.compile(r"cannot lock ref '(?P<a>[^']*)': '(?P<b>[^']*)' exists"): (
        "git cannot create `{a}` while `{b}` exists.",
        "On the server, in /home/dokku/{app}, delete that branch: `git update-ref -d {b}`.",
    ),
    re.compile(r"refusing to update checked out branch|branch is currently checked out"): (
        "the app's repository on the server has a work tree, so git does not update its branch.",
        "On the server, in /home/dokku/{app}: `git config core.bare true`.",
    ),
    re.compile(r"denying non-fast-forward|remote rejected.*\(non-fast-forward\)"): (
        "the app's repository on the server rejects older revisions (receive.denyNonFastForwards).",
        "On the server, in /home/dokku/{app}: `git config receive.denyNonFastForwards false`.",
    ),
    re.compile(r"shallow update not allowed"): (
        "git rejects the push of a shallow clone (after Dokku has deployed it).",
        "Fetch the whole history: `GIT_DEPTH: 0` on GitLab, `fetch-depth: 0` on GitHub.",
    ),
}


def reason(lines: Sequence[str], app: str = "APP") -> tuple[str, str]:
    """Why a deploy failed, and what to do, by the `lines` that Dokku or git has printed; two empty
    texts for an unknown reason. `app`: its name, for commands in the second text."""
    for pattern, (message, hint) in REASONS.items():
        for line in lines:
            if match := pattern.search(line):
                found = {**match.groupdict(), "app": app}
                return message.format(**found), hint.format(**found)
    return "", ""


def patterns() -> list[re.Pattern[str]]:
    """All patterns of this module; `Excerpt` keeps the lines of a long output that match one."""
    own = [each for each in globals().values() if isinstance(each, re.Pattern)]
    return [*own, *REASONS]
