"""Putting a run together: which layers take part, and every problem in one answer."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_deploy import ci
from ci_deploy.commands.assembly import Assembly
from ci_deploy.errors import SettingsError
from ci_deploy.process.cancellation import Cancellation
from tests.unit.conftest import Log

TOKEN = "t0ken-t0ken-t0ken"


class Assembled:
    """Makes assemblies from an environ."""

    def __init__(self, log: Log, workspace: Path, cleanup: contextlib.ExitStack) -> None:
        self.log = log
        self.workspace = workspace
        self.cleanup = cleanup

    def __call__(self, **environ: str) -> Assembly:
        given = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(self.workspace), **environ}
        log = self.log
        return Assembly(
            given, ci.detect(given), log.console, log.redactor, Cancellation(), self.cleanup
        )

    def problems(self, **environ: str) -> str:
        """What is wrong, as it is told."""
        with pytest.raises(SettingsError) as caught:
            self(**environ).context("deploy")
        return f"{caught.value}\n{caught.value.hint}"


@pytest.fixture
def assembled(log: Log, workspace: Path) -> Iterator[Assembled]:
    with contextlib.ExitStack() as cleanup:
        yield Assembled(log, workspace, cleanup)


def test_env_file_that_cannot_be_read_is_a_problem(assembled: Assembled) -> None:
    told = assembled.problems(ENV_FILE="/no/such/file")
    assert "ENV_FILE: the file /no/such/file cannot be read" in told


def test_names_of_app_and_environment_are_never_hidden(assembled: Assembled) -> None:
    """Else the log would be unreadable, and hooks would miss every variable that has them."""
    made = assembled(
        APP_NAME="my-project",
        CI_ENVIRONMENT_NAME="canary",
        SSH_PRIVATE_KEY_PASSPHRASE="my-project",
        NOTIFY_WEBHOOK_URL="https://ci.example.com/x1y2z3/canary",
    )
    assert made.redactor.text("my-project in canary") == "my-project in canary"
    assert made.redactor.text("x1y2z3") == "[REDACTED]"


def test_file_of_a_required_secret_that_cannot_be_read_is_not_called_missing(
    assembled: Assembled,
) -> None:
    told = assembled.problems(DOKKU_HOST="h", SSH_PRIVATE_KEY_FILE="/no/such/file")
    assert "SSH_PRIVATE_KEY (SSH_PRIVATE_KEY_FILE): the file /no/such/file cannot be read" in told


def test_file_of_an_optional_secret_that_cannot_be_read_is_a_problem(assembled: Assembled) -> None:
    told = assembled.problems(DOKKU_HOST="h", SSH_PRIVATE_KEY_PASSPHRASE_FILE="/no/such/file")
    assert "SSH_PRIVATE_KEY_PASSPHRASE (SSH_PRIVATE_KEY_PASSPHRASE_FILE)" in told


def test_secrets_of_layers_that_take_no_part_are_hidden_too(assembled: Assembled, log: Log) -> None:
    assembled(SSH_PRIVATE_KEY_PASSPHRASE=TOKEN)
    log.console.line(f"the passphrase is {TOKEN}")
    assert TOKEN not in log.text
    assert "[REDACTED]" in log.text


def test_nothing_set_says_what_would_choose_a_provider(assembled: Assembled) -> None:
    told = assembled.problems()
    words = "DEPLOY_PROVIDER: cannot be determined. Set DEPLOY_PROVIDER, or one of SERVER_HOST for"
    assert f"{words} compose" in told
    assert "DOKKU_HOST for dokku" in told
    assert "APP_NAME: is required" in told


def test_a_misspelt_setting_that_would_choose_a_provider_is_named(assembled: Assembled) -> None:
    """Else the answer listed what is missing, beside the very line that was meant. (faults E4)"""
    told = assembled.problems(DOKKU_HOSTT="dokku.example.com")
    assert "The variable DOKKU_HOSTT is set: is its name misspelt?" in told


def test_secrets_of_another_pipeline_are_named_for_ours(assembled: Assembled) -> None:
    """As in dokku/gitlab-ci and the like: the first run says what to rename."""
    others = {"GIT_REMOTE_URL": "ssh://dokku@dokku.me:22/appname", "SSH_KEY": "key"}
    assert "GIT_REMOTE_URL is set, but ci-deploy reads DOKKU_HOST." in assembled.problems(**others)
    told = assembled.problems(DOKKU_HOST="dokku.me", **others)
    assert "SSH_KEY is set, but ci-deploy reads SSH_PRIVATE_KEY." in told
    assert "reads DOKKU_HOST" not in told


def test_problems_of_several_layers_and_of_the_core_come_at_once(assembled: Assembled) -> None:
    told = assembled.problems(DOKKU_HOST="ftp://x", DEPLOY_TIMEOUT="x", MATTERMOST_WEBHOOK_URL="x")
    names = ("APP_NAME", "DEPLOY_TIMEOUT", "DOKKU_HOST", "SSH_PRIVATE_KEY")
    for name in (*names, "MATTERMOST_WEBHOOK_URL"):
        assert f"  - {name}" in told
    assert told.startswith("5 settings are missing or wrong.")


def test_missing_secret_on_an_unprotected_branch_is_explained(assembled: Assembled) -> None:
    facts = {"CI_COMMIT_REF_NAME": "feature", "DOKKU_HOST": "h"}
    assert "`feature` is not a protected branch or tag" in assembled.problems(
        CI_COMMIT_REF_PROTECTED="false", **facts
    )
    assert "protected" not in assembled.problems(CI_COMMIT_REF_PROTECTED="true", **facts)
    assert "protected" not in assembled.problems(**facts)


def test_children_get_an_allow_listed_environ_and_a_private_home(assembled: Assembled) -> None:
    given = {"https_proxy": "http://proxy:3128", "SSL_CERT_FILE": "/ca.pem", "TZ": "Asia/Tokyo"}
    others = {"CI_JOB_TOKEN": TOKEN, "INPUT_X": "x", "HOME": "/root", "GIT_SSH_COMMAND": "evil"}
    ctx = assembled(**given, **others, SSH_PRIVATE_KEY_PASSPHRASE=TOKEN).bare_context()
    environ = ctx.runner.environ
    assert {name: environ[name] for name in given} == given
    assert environ["HOME"] == environ["TMPDIR"] == str(ctx.private_dir)
    assert not {*others, "SSH_PRIVATE_KEY_PASSPHRASE", "GITLAB_CI"} & environ.keys() - {"HOME"}
    assert TOKEN not in environ.values()


def test_private_directory_is_ours_alone_and_removed(assembled: Assembled) -> None:
    path = assembled().bare_context().private_dir
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    (path / "something").write_text("secret")
    assembled.cleanup.close()
    assert not path.exists()


WISHES = [
    ("AUTO_MIGRATE_ON_DEPLOY", "true"),
    ("MIGRATE", "before"),
    ("MIGRATE", "befor"),
    ("BACKUP_BEFORE_MIGRATE", "yes"),
    ("SEED_ON_REVIEW", "once"),
    ("SIDEKIQ_QUIET_ON_DEPLOY", "true"),
]
HEROKU = {"APP_NAME": "web", "HEROKU_API_KEY": TOKEN}


@pytest.mark.parametrize(("name", "value"), WISHES)
def test_wish_by_an_input_is_refused_where_no_framework_is_found(
    assembled: Assembled, name: str, value: str
) -> None:
    """An input is meant for this very job: exit 2, nothing touched. (faults B1)"""
    told = assembled.problems(**HEROKU, **{f"INPUT_{name}": value})
    assert f"(input `{name.lower().replace('_', '-')}`): the setting has no effect: no " in told
    assert "Set DEPLOY_APPLICATION to `" in told


def test_a_framework_below_is_named_to_whom_it_was_not_found(
    assembled: Assembled, workspace: Path
) -> None:
    """With APP_DIR or DJANGO_MANAGE_COMMAND it is found (issue 18)."""
    path = workspace / "src/manage.py"
    path.parent.mkdir()
    path.write_text("os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n")
    told = assembled.problems(**HEROKU, INPUT_AUTO_MIGRATE_ON_DEPLOY="true")
    assert 'with DJANGO_MANAGE_COMMAND="python src/manage.py", or APP_DIR to src, or unset' in told


@pytest.mark.parametrize(("name", "value"), WISHES)
def test_wish_by_a_variable_is_a_warning_where_no_framework_is_found(
    assembled: Assembled, log: Log, name: str, value: str
) -> None:
    """Teams keep variables on the group; log, report and annotation warn. (faults B1)"""
    assembled(**HEROKU, **{name: value}).context("deploy")
    (warning,) = log.console.warnings
    assert warning.startswith(f"{name} has no effect: no ")


@pytest.mark.parametrize("value", ["false", "never"])
def test_what_asks_for_nothing_is_no_wish(assembled: Assembled, log: Log, value: str) -> None:
    """A switch that is off has its effect without a framework too. (faults B1)"""
    name = "SEED_ON_REVIEW" if value == "never" else "AUTO_MIGRATE_ON_DEPLOY"
    assembled(**HEROKU, **{f"INPUT_{name}": value}).context("deploy")
    assert log.console.warnings == []


def test_wishes_do_not_stop_a_job_without_checkout(assembled: Assembled, log: Log) -> None:
    """The stop job of a review app gets the same inputs, and no code. (faults B1)"""
    given = {"INPUT_AUTO_MIGRATE_ON_DEPLOY": "true", "CI_COMMIT_REF_NAME": "feature"}
    assembled(**HEROKU, **given).context("destroy")
    assert log.console.warnings == []


def test_sidekiq_cannot_be_quieted_in_a_django_app(assembled: Assembled) -> None:
    """Another framework's wish is dropped too. (faults B1)"""
    told = assembled.problems(
        **HEROKU, DEPLOY_APPLICATION="django", INPUT_SIDEKIQ_QUIET_ON_DEPLOY="true"
    )
    assert "the app is not Rails (DEPLOY_APPLICATION is `django`)." in told
