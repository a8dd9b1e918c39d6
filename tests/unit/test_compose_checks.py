"""What has to be so on every host before anything is changed there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.checks import NO_ENV, conflict, tell, together, trouble
from ci_deploy.layers.providers.compose.facts import HostFacts
from ci_deploy.state import Live


def test_a_wanted_project_name_counts_from_wherever_it_comes() -> None:
    """It is the setting that decides, not a variable of its name. (faults B7)"""
    facts = SimpleNamespace(apps={"web": "old"}, containers=(), path="/srv")
    host: Any = SimpleNamespace(facts=facts)
    ctx: Any = SimpleNamespace(app="web", environ={})
    assert isinstance(conflict(ctx, host, "new", ""), SettingsError)
    assert conflict(ctx, host, "new", "new") is None


def test_file_that_only_adds_to_another_one_gets_the_advice_to_name_both() -> None:
    """(faults H10)"""
    said = 'service "app" has neither an image nor a build context specified: invalid'
    error = trouble(_refusing(said))
    assert isinstance(error, SettingsError)
    assert 'COMPOSE_FILE="docker-compose.yml docker-compose.production.yml"' in str(
        error.problems[0]
    )


def test_file_that_compose_refuses_for_a_variable_without_a_value_names_it() -> None:
    """`image: ${IMAGE}:${TAG}` with neither is `:`, of which Compose says only that."""
    error = trouble(_refusing("invalid reference format", "IMAGE", "TAG"))
    assert isinstance(error, SettingsError)
    assert "format. Set the variables without a value (see above)." in str(error.problems[0])


def test_all_variables_that_must_have_a_value_are_named_at_once() -> None:
    """Compose names only the first."""
    refused = _refusing("required variable A is missing a value: Variable not set")
    refused.facts.required = ["A", "B"]
    error = trouble(refused)
    assert isinstance(error, SettingsError)
    assert "not set. Set ${A}, ${B} in APP_CONFIG or in the .env" in str(error.problems[0])


def test_variables_without_a_value_are_told_once_for_hosts_that_lack_the_same() -> None:
    told: list[str] = []
    ctx: Any = SimpleNamespace(
        review=None, app_config={}, console=SimpleNamespace(warning=told.append)
    )
    hosts: Any = [
        _Ready("one", "A", "B"),
        _Ready("two", "A", "B"),
        _Ready("three"),
        _Ready("four", "A"),
    ]
    tree: Any = _Checkout()
    tell(ctx, hosts, tree, {})
    assert [each.partition(": ")[0] for each in told] == ["one, two", "four"]
    assert "${A}, ${B}" in told[0]
    assert "${B}" not in told[1]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "env file /srv/.env not found: stat …",
            "`APP_CONFIG_FILE=.env` uses that of the checkout",
        ),
        ("env file /srv/prod.env not found: stat …", "let the job create it in the checkout"),
    ],
)
def test_what_compose_refuses_gets_the_remedy_that_a_team_has(said: str, advice: str) -> None:
    error = trouble(_refusing(said))
    assert isinstance(error, SettingsError)
    assert advice in str(error.problems[0])


def test_env_of_a_checkout_is_told_where_its_values_are_missed() -> None:
    """Templates commit one; by hand Compose has read it, also for what has another default."""
    told: list[str] = []
    ctx: Any = SimpleNamespace(
        review=None, app_config={"SET": "1"}, console=SimpleNamespace(warning=told.append)
    )
    tree: Any = _Checkout(b"# mine\nVERSION=17\nexport HOST=a\nSET=2\nOTHER=3\nTAG=4\n")
    tree.texts = [b"image: db:${VERSION:-16}\nhost: $HOST ${SET} ${TAG}\n"]
    ready: Any = _Ready("one")
    tell(ctx, [ready], tree, {"TAG": "1"})
    assert not told, "the host has its own"
    ready.facts.env = NO_ENV
    tell(ctx, [ready], tree, {"TAG": "1"})
    assert "have no value there: ${HOST}, ${VERSION}. Set" in told[0]
    ready.facts.unset = ["HOST", "MORE"]
    tell(ctx, [ready], tree, {"TAG": "1"})
    assert told[2].startswith("one: no value for ${MORE}, so"), "the other one is told already"


class _Checkout:
    texts: tuple[bytes, ...] = ()
    reads: ClassVar[dict[str, bytes]] = {}

    def __init__(self, env: bytes | None = None) -> None:
        self.env = env

    def has(self, _name: str) -> bool:
        return self.env is not None

    def made(self, _name: str) -> None:
        """Nothing."""

    def content(self, _name: str) -> bytes:
        return self.env or b""


def _refusing(said: str, *unset: str) -> Any:
    facts = HostFacts(docker=True, compose="2", refused=[said], unset=unset)
    return SimpleNamespace(facts=facts, server=SimpleNamespace(user="deploy"))


class _Ready:
    def __init__(self, name: str, *unset: str) -> None:
        self.name, self.server = name, SimpleNamespace(user="deploy")
        self.facts = HostFacts(docker=True, compose="2", model="{}", unset=unset)

    def __str__(self) -> str:
        return self.name


def _running(release: str) -> Any:
    live = Live("a" * 40, up=True, release=release)
    return SimpleNamespace(facts=SimpleNamespace(live=lambda _app: live))


def test_hosts_are_up_together_only_with_one_release() -> None:
    assert together([_running("1-a"), _running("1-a")], "web").up
    assert not together([_running("1-a"), _running("2-b")], "web").up


def test_project_of_another_directory_is_not_taken_over() -> None:
    """Its containers would be replaced by ours (faults H1)."""
    theirs = SimpleNamespace(project="web", folder="/srv/other", name="web-app-1")
    facts = SimpleNamespace(
        apps={"web": "web"}, containers=(theirs,), path="/srv/web", here=("/srv/web",)
    )
    host: Any = SimpleNamespace(facts=facts)
    ctx: Any = SimpleNamespace(app="web", environ={})
    assert "/srv/other" in str(conflict(ctx, host, "web", ""))
