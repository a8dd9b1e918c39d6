"""The health check: it ends with the run, and says what to do about the answer."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import Unhealthy, Unreachable
from ci_deploy.layers.applications.healthcheck import Healthcheck, HealthcheckSettings
from ci_deploy.net.http import Response

URL = "https://web.example.com/up"


class Clock:
    """Time that passes only when somebody sleeps, and a run that ends."""

    def __init__(self, until: float) -> None:
        self.now, self.until, self.asked = 1000.0, until, 0

    def sleep(self, seconds: float) -> None:
        """As the cancel button's: no longer than the run has left."""
        self.now += max(0.0, min(seconds, self.until - self.now))


def check(monkeypatch: pytest.MonkeyPatch, status: int, until: float = 9999.0) -> tuple[Any, Clock]:
    clock = Clock(until)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)

    def read(url: str, **_options: Any) -> Any:
        clock.asked += 1
        assert clock.asked < 100, "it spins"
        if clock.now >= clock.until:
            message = "there is no time left to ask."
            raise Unreachable(message)
        return Response(status, url=url)

    ctx = SimpleNamespace(
        planning=False,
        runner=SimpleNamespace(until=until),
        http=SimpleNamespace(read=read),
        cancellation=SimpleNamespace(sleep=clock.sleep),
        console=SimpleNamespace(indent=lambda _text: None, still=lambda _since: None),
    )
    layer = Healthcheck(cast("Any", ctx), HealthcheckSettings(url=URL, timeout=60))
    with pytest.raises(Unhealthy) as caught:
        layer._check(URL)
    return caught.value, clock


def test_health_check_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It went on asking, without a pause, for all of HEALTHCHECK_TIMEOUT (faults J2)."""
    error, clock = check(monkeypatch, 503, until=1010.0)
    over = "before the run's time was over (DEPLOY_TIMEOUT)"
    assert error.message == f"not healthy {over}: {URL} answers 503."
    assert error.hint == "Look at the app's log; raise DEPLOY_TIMEOUT if it is slow."
    assert clock.now <= 1010.0


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (503, "Look at the app's log"),
        (401, "The URL requires a login"),
        (403, "The URL requires a login"),
        (404, "The app has no such path"),
    ],
)
def test_hint_fits_the_answer(monkeypatch: pytest.MonkeyPatch, status: int, hint: str) -> None:
    """A longer wait helps against none of the others (faults G5)."""
    error, clock = check(monkeypatch, status)
    assert error.message == f"not healthy within 60 s: {URL} answers {status}."
    assert hint in error.hint
    assert 1058.0 <= clock.now <= 1060.0


def answering(*answers: Response) -> tuple[Healthcheck, list[str]]:
    """A layer whose app answers so, and what it tells."""
    told: list[str] = []
    left = list(answers)
    ctx = SimpleNamespace(
        planning=False,
        runner=SimpleNamespace(until=float("inf")),
        http=SimpleNamespace(read=lambda _url, **_options: left.pop(0)),
        cancellation=SimpleNamespace(sleep=lambda _seconds: None),
        console=SimpleNamespace(indent=told.append, still=lambda _since: None),
    )
    return Healthcheck(cast("Any", ctx), HealthcheckSettings(url=URL, timeout=0)), told


def test_page_on_the_same_site_is_an_answer_and_the_log_says_which() -> None:
    """Nextcloud, GitLab and BookStack lead from / to /login, and are well."""
    layer, told = answering(Response(200, url="https://www.web.example.com/login?next=/up"))
    layer._check(URL)
    assert told == [f"healthy: {URL} answers 200 at https://www.web.example.com/login"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_login_page_of_another_host_is_not_the_app(status: int) -> None:
    location = {"Location": "https://login.example.com/?state=t0ken"}
    layer, told = answering(Response(status, headers=location, url=URL))
    with pytest.raises(Unhealthy) as caught:
        layer._check(URL)
    where = f"{URL} answers {status}, to https://login.example.com/."
    assert caught.value.message == f"not healthy within 0 s: {where}"
    assert "an address that the app answers itself" in caught.value.hint
    assert told == []


def test_login_on_the_same_site_keeps_its_hint() -> None:
    layer, _ = answering(Response(403, url="https://web.example.com/sign-in"))
    with pytest.raises(Unhealthy) as caught:
        layer._check(URL)
    assert "answers 403 at https://web.example.com/sign-in." in caught.value.message
    assert "The URL requires a login" in caught.value.hint
