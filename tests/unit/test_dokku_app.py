"""What an app on a Dokku server tells of itself; its config may hold anything."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import DeployFailed, Locked, OutcomeUnknown, ToolMissing, Unauthorized
from ci_deploy.layers.providers.dokku import databases, deploy_method, review, verification
from ci_deploy.layers.providers.dokku.app import HISTORY, OURS, App, State, with_deployment
from ci_deploy.layers.providers.dokku.config_values import unstorable
from ci_deploy.layers.providers.dokku.layer import Dokku
from ci_deploy.layers.providers.dokku.provider import DokkuApp
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.layers.providers.dokku.upload import Image
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.program import Result
from ci_deploy.run import review_app
from ci_deploy.run.review_app import MARK
from ci_deploy.state import Deployed, Live, ProcessAction

SHA = "a" * 40
OTHER = "b" * 40


class FakeServer:
    """Answers from a table: first two words → text."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers

    def ask(self, *questions: Sequence[str], **_options: Any) -> list[Result]:
        return [self.answer(question) for question in questions]

    def answer(self, question: Sequence[str]) -> Result:
        if question[-1].startswith("--ps-"):
            return Result(("ssh",), 0, out=b"\n")
        text = self.answers.get(question[0].replace(":", "_"))
        if text == "denied":
            raise Unauthorized(text)
        return Result(("ssh",), 20 if text is None else 0, out=(text or "").encode())

    def ref(self, _app: str, _branch: str) -> str:
        return ""


def report(kind: str, **values: str) -> str:
    lines = [f"=====> hello {kind} information"]
    lines += [f"       {key.replace('_', ' ')}: {value}" for key, value in values.items()]
    return "\n".join(lines)


def apps(redactor: Redactor | None = None, *, config: str = "{}", **more: str) -> tuple[App, Any]:
    answers = {
        "apps_report": report("app", Deploy_source="git-push", Deploy_source_metadata=SHA),
        "git_report": report("git", Deploy_branch="main", Sha=SHA),
        "ps_report": report("ps", Running="true", Processes="1"),
        "urls": "http://hello.example.com",
        "config_export": config,
        **more,
    }
    server = FakeServer(**answers)
    return App(cast("Any", server), redactor or Redactor()), server


def survey(**answers: str) -> State:
    return apps(None, **answers)[0].survey("hello")[0]


def test_app_that_is_there() -> None:
    state = survey(config='{"A": "1"}')
    assert (state.exists, state.branch, state.source) == (True, "main", "git-push")
    assert state.live == Live(
        SHA, up=True, url="http://hello.example.com", detail="no process is scaled up"
    )
    assert state.config == {"A": "1"}


@pytest.mark.parametrize(("scale", "idle"), [("worker:  0", True), ("worker:  1", False)])
def test_app_that_is_scaled_to_nothing_is_told_from_one_that_is_down(
    scale: str, idle: bool
) -> None:
    """A Procfile without `web`: Dokku scales a new `worker` to 0."""
    ps = report("ps", Running="false", Processes="0", Deployed="true")
    live = survey(ps_report=ps, ps_scale=f"-----> Scaling for hello\n{scale}\n").live
    assert (live.idle, live.up) == (idle, idle)


def test_app_that_is_not_there() -> None:
    app = App(cast("Any", FakeServer()), Redactor())
    assert app.survey("hello")[0] == State()


@pytest.mark.parametrize(
    ("image", "version", "told"),
    [
        (
            "acme/web:latest",
            (0, 38, 0),
            "If its tag has moved since, REDEPLOY=true pulls it again.",
        ),
        ("acme/web", (0, 36, 0), "If its tag has moved since, name the image by its digest."),
        (f"acme/web:{SHA[:7]}", (0, 38, 0), ""),
        (f"acme/web:v1-{SHA}", (0, 38, 0), ""),
        (f"acme/web@sha256:{'0' * 64}", (0, 38, 0), ""),
    ],
)
def test_image_that_is_skipped_may_be_another_one_by_now(
    image: str, version: tuple[int, ...], told: str
) -> None:
    """A job that deploys `latest` of another repository always has the same commit."""
    server = DokkuServer(cast("Any", None), cast("Any", None), cast("Any", None))
    server.version = version
    found = Image(cast("Any", None), server, State(), Live, revision=SHA, image=image).doubt
    assert found.endswith(told)
    assert bool(found) == bool(told)


@pytest.mark.parametrize("config", ["", "null", "{}", '{"A": null}'])
def test_config_that_is_none_is_no_crash(config: str) -> None:
    assert survey(config=config).exists


@pytest.mark.parametrize("config", ["[1]", "1", "not json", "warning: disk full\n{}", '{"A": "'])
def test_answer_that_is_no_config_is_not_taken_for_an_empty_one(config: str) -> None:
    """A review app's guard would find no address of its base app, and our notes would be lost
    (faults K2)."""
    with pytest.raises(DeployFailed, match="did not print JSON for the config of hello"):
        survey(config=config)


@pytest.mark.parametrize("listed", ['[{"id": 7}]', "[{}]", '[{"id": null, "duration": 3}]'])
def test_builds_that_are_told_otherwise_are_builds(listed: str) -> None:
    """A newer Dokku may tell less of them, or numbers instead of words (faults K5)."""
    app = app_on(Recorded(0, 38))
    server = DokkuServer(cast("Any", None), cast("Any", None), cast("Any", None))
    server.version = (0, 38, 27)
    answer = Result(("ssh",), 0, out=listed.encode())
    server.ask = lambda *_words, **_options: [answer]  # type: ignore[method-assign]
    app.server, app.state = server, State(locked=True)
    assert "since" in app.lock_holder()
    assert isinstance(server.has_begun("hello", 1.0), bool)
    assert isinstance(server.builds("hello"), frozenset)


@pytest.mark.parametrize(
    ("code", "words", "refused"),
    [
        (1, " !     You are not allowed to do that", True),
        (1, " !     `postgres:app-links` is not a dokku command.", False),  # it is disabled
        (0, "", False),
    ],
)
def test_databases_that_cannot_be_listed_stop_the_backup(
    tmp_path: Path, code: int, words: str, refused: bool
) -> None:
    """One kind would be migrated without a dump, and that looks like a backup (faults A8)."""
    answers = {
        "plugin:list": Result(("ssh",), 0, out=b"  mysql 1 enabled\n  postgres 1 enabled\n"),
        "mysql:app-links": Result(("ssh",), 0, out=b"hello-mysql\n"),
        "postgres:app-links": Result(("ssh",), code, err=words.encode()),
    }
    saved = list[str]()

    def save(words: Sequence[str], _path: Path, **_options: Any) -> int:
        saved.append(" ".join(words))
        return 7

    server = SimpleNamespace(ask=lambda *asked: [answers[each[0]] for each in asked], save=save)
    if refused:
        with pytest.raises(DeployFailed, match="the postgres services that are linked to hello"):
            databases.export(cast("Any", server), "hello", tmp_path)
        assert saved == []
    else:
        databases.export(cast("Any", server), "hello", tmp_path)
        assert saved == ["mysql:export hello-mysql"]


@pytest.mark.parametrize(
    "history",
    ["", "not json", "7", "null", '"x"', "{}", "[]", '[1, null, "x", {}, {"at": "x"}, []]'],
)
def test_history_that_somebody_has_broken_is_empty(history: str) -> None:
    state = survey(config=json.dumps({HISTORY: history}))
    assert state.deployments == []
    assert json.loads(with_deployment(state, Deployed(SHA), method="push", folder="web")) == [
        {"revision": SHA, "at": "", "by": "", "way": "push", "dir": "web"}
    ]


def test_history_is_newest_first_and_short() -> None:
    state = State()
    for number in range(30):
        text = with_deployment(state, Deployed(f"{number:040}"), method="push", folder="")
        state = State(config={HISTORY: text})
    revisions = [int(entry["revision"]) for entry in state.deployments]
    assert revisions == list(range(29, 19, -1))


def test_secrets_of_the_app_are_hidden_at_once() -> None:
    redactor = Redactor()
    config = {"SECRET_KEY_BASE": "s3cret-s3cret", "RAILS_ENV": "production", HISTORY: "[]"}
    apps(redactor, config=json.dumps(config))[0].survey("hello")
    assert "s3cret" not in redactor.text("s3cret-s3cret")
    assert redactor.text("production []") == "production []"


@pytest.mark.parametrize("updated", ["", "HEAD", "2026-11-20 10:00", "-1"])
def test_age_that_is_not_known_is_none(updated: str) -> None:
    git = report("git", Deploy_branch="main", Last_updated_at=updated)
    assert survey(git_report=git).updated == 0


BROKEN = Result(("ssh",), 1, err=b' !     unterminated quoted value "TOP=s3cret-of-another\\\\"')


def test_config_that_cannot_be_read_is_no_empty_config() -> None:
    """The server's words quote other variables' values (faults K2, K4)."""
    with pytest.raises(DeployFailed, match="cannot read the config") as caught:
        apps()[0].config(BROKEN, "hello")
    shown = f"{caught.value} {caught.value.hint} {caught.value.lines}"
    assert "/home/dokku/hello/ENV" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("said", [BROKEN.errors, " !     cannot store TOP=s3cret-of-another"])
@pytest.mark.parametrize("key", ["X", "CI_DEPLOY_UNFINISHED"])
def test_words_of_a_failing_config_set_are_kept_to_ourselves(key: str, said: str) -> None:
    """Both that the config is corrupt, and whatever else the server says (faults K4)."""
    app, server = apps()
    failed = Result(("ssh",), 1, lines=tuple(said.splitlines()))
    server.change_hidden = server.change = lambda _words, **_options: failed
    for change in (
        lambda: app.set_config("hello", {key: "a"}, what="set it"),
        lambda: app.unset_config("hello", key, what="unset it"),
    ):
        with pytest.raises(DeployFailed) as caught:
            change()
        assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.lines}"


def test_session_that_was_cut_while_config_was_set_is_unknown() -> None:
    app, server = apps()
    cut = Result(("ssh",), 255, lines=("Connection closed by 10.0.0.1",))
    server.change_hidden = server.change = lambda _words, **_options: cut
    for change in (
        lambda: app.set_config("hello", {"X": "a"}, what="set it"),
        lambda: app.unset_config("hello", "X", what="unset it"),
    ):
        with pytest.raises(OutcomeUnknown, match="unknown whether Dokku changed the config"):
            change()


@pytest.mark.parametrize("value", ['say "hi"', '"', "C:\\", "a\\\\", "0123", "+5", "-0", "a\0b"])
def test_values_that_dokku_gives_back_otherwise_are_known(value: str) -> None:
    """(faults K2)"""
    assert unstorable({"A": "fine", "B": value}) == ["B"]


@pytest.mark.parametrize(
    "value", ["", '"a" b', "a\\b", "123", "-7", "0", "1.50", "0x1F", "a\n", "'", "９"]
)
def test_values_that_dokku_keeps_are_accepted(value: str) -> None:
    """(faults K2)"""
    assert unstorable({"B": value}) == []


@pytest.mark.parametrize(
    ("held", "wrong"),
    [
        ('{"A": "1", "B": "123"}', "`B`"),
        ('{"A": "1"}', "`B`"),
        ('{"A": "1", "B": "0123"}', ""),
        ('{"A": "2", "B": "123", "C": "kept"}', "`A`, `B`"),
    ],
)
def test_what_was_set_is_read_back(held: str, wrong: str) -> None:
    """What Dokku holds otherwise is told by name, never by value (faults K2)."""
    app, server = apps(config=held)
    told = list[Sequence[str]]()

    def change_hidden(words: Sequence[str], **_options: Any) -> Result:
        told.append(words)
        return Result(("ssh",), 0)

    server.change_hidden = change_hidden
    values = {"A": "1", "B": "0123"}
    if wrong:
        with pytest.raises(DeployFailed, match=f"differ from those sent: {wrong}\\.") as caught:
            app.set_and_check("hello", values, what="set them")
        assert "0123" not in f"{caught.value} {caught.value.hint} {caught.value.lines}"
    else:
        app.set_and_check("hello", values, what="set them")
    assert told == [["config:set", "hello", "--no-restart", "--encoded", "A=MQ==", "B=MDEyMw=="]]


def test_options_follow_the_app() -> None:
    """dokku-acl takes the first word after the command for the app (faults K9)."""
    app, server = apps()
    told = list[Sequence[str]]()
    answer = server.answer

    def note(words: Sequence[str], **_options: Any) -> Result:
        told.append(words)
        return BROKEN

    def ask(words: Sequence[str]) -> Result:
        told.append(words)
        return cast("Result", answer(words))

    server.answer, server.change_hidden, server.change = ask, note, note
    app.survey("hello")
    for change in (
        lambda: app.set_config("hello", {"A": "a"}, what="set it"),
        lambda: app.unset_config("hello", "A", what="unset it"),
    ):
        with pytest.raises(DeployFailed):
            change()
    assert all(words[1] == "hello" for words in told)


@pytest.mark.parametrize(("builds", "busy"), [("[]", False), ('[{"id": "a"}]', True), (None, True)])
def test_lock_that_a_failed_build_has_left_is_no_deploy(builds: str | None, busy: bool) -> None:
    """A Dokku that cannot list builds is believed about its lock (faults K5)."""
    locked = report("app", Deploy_source="git-push", Deploy_source_metadata=SHA, Locked="true")
    more = {} if builds is None else {"builds_list": builds}
    assert survey(apps_report=locked, **more).live.busy is busy


# --- review apps ---


class TlsServer:
    """A server with a certificate, or a way to get one."""

    def __init__(self, *, enabled: bool, active: str, plugin: bool) -> None:
        report = "=====> hello ssl information\n       Ssl enabled:                   {}\n"
        self.told = list[Sequence[str]]()
        self._answers = {
            "plugin:list": "  letsencrypt 0.20 enabled\n" if plugin else "  apps 0.38 enabled\n",
            "certs:report": report.format(str(enabled).lower()),
            "letsencrypt:active": active,
        }

    def ask(self, *questions: Sequence[str]) -> list[Result]:
        return [Result(("ssh",), 0, out=self._answers[each[0]].encode()) for each in questions]

    def change(self, words: Sequence[str], **_options: Any) -> Result:
        self.told.append(words)
        return Result(("ssh",), 0)


@pytest.mark.parametrize(
    ("enabled", "active", "plugin", "gets"),
    [
        (True, "false", True, False),  # a wildcard certificate of the server's
        (False, "true", True, False),
        (False, "false", False, False),
        (False, "false", True, True),
        (False, "", True, True),
    ],
)
def test_certificate_is_got_only_where_there_is_none(
    enabled: bool, active: str, plugin: bool, gets: bool
) -> None:
    """As the real server heads its report: "ssl information" (faults K10)."""
    server = TlsServer(enabled=enabled, active=active, plugin=plugin)
    review.secure(cast("Any", server), "hello", cast("Any", None))
    assert server.told == ([["letsencrypt:enable", "hello"]] if gets else [])


def marked(base: str = "hello") -> str:
    return json.dumps({MARK: json.dumps({"base": base, "branch": "x"})})


@pytest.mark.parametrize("text", ["", "1", "[]", "null", "not json", '{"base": "other"}'])
def test_only_our_mark_makes_a_review_app(text: str) -> None:
    assert not review_app.marked({MARK: text} if text else {}, "hello")
    assert review_app.marked(json.loads(marked()), "hello")


NOW, DAY, YEAR = 1_795_132_800, 86_400, 365 * 86_400
RUNS = json.dumps(
    [{"Id": "c" * 12, "RestartCount": 0, "Config": {"Labels": {"com.dokku.dyno": "worker.1"}},
      "State": {"Status": "running", "StartedAt": "x"}}]
)  # fmt: skip


def swept(updated: object, *, base: str = "hello", **more: str) -> tuple[list[str], list[str]]:
    """Which are old, and what is said of others, on a server where all was changed at a time."""
    git = report("git", Deploy_branch="main", Last_updated_at=str(updated))
    names = "hello\nhello-x\nby-hand\n"
    app, server = apps(None, config=marked(base), git_report=git, apps_list=names, **more)
    said: list[str] = []
    return review.stale(app, server, "hello", 7, said.append), said


@pytest.mark.parametrize("runner", [0, -20 * YEAR, 20 * YEAR], ids=["right", "behind", "ahead"])
@pytest.mark.parametrize(
    ("updated", "base", "expected"),
    [
        (NOW - 9 * DAY, "hello", ["hello-x", "by-hand"]),
        (NOW - 3 * DAY, "hello", []),
        (NOW + YEAR, "hello", []),
        (NOW - 9 * DAY, "other", []),
        ("", "hello", []),
        ("HEAD", "hello", []),
    ],
    ids=["old", "young", "of the future", "of another app", "never deployed", "age unknown"],
)
def test_only_what_is_old_by_the_servers_clock_is_stale(
    updated: object, base: str, expected: list[str], runner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the runner's clock says: one that is ahead made each review app look old."""
    monkeypatch.setattr(time, "time", lambda: float(NOW + runner))
    assert swept(updated, base=base, ps_inspect=RUNS, enter=f"{NOW}\r\n")[0] == expected


@pytest.mark.parametrize(
    "more",
    [{}, {"ps_inspect": RUNS}, {"ps_inspect": RUNS, "enter": "date: not found\n"},
     {"ps_inspect": RUNS, "enter": "denied"},
     {"ps_inspect": RUNS.replace("running", "exited"), "enter": f"{NOW}\n"}],
    ids=["base app does not run", "fails", "no such program", "refused", "process is down"],
)  # fmt: skip
@pytest.mark.parametrize("runner", [0, 20 * YEAR])
def test_without_the_servers_clock_nothing_is_removed_by_that_of_the_runner(
    more: dict[str, str], runner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was changed at the same time, so nothing on the server says how long ago that is."""
    monkeypatch.setattr(time, "time", lambda: float(NOW + runner))
    found, said = swept(NOW - 9 * DAY, **more)
    assert found == []
    [words] = said
    assert "kept hello-x, by-hand: not deployed for 7 days by this runner's clock" in words


def test_newest_change_on_the_server_is_as_late_as_it_is_for_sure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the clock cannot be asked; neither it nor the runner's alone removes anything."""
    old, main = State(updated=NOW - 9 * DAY, config=json.loads(marked())), State(updated=NOW)
    app, server = apps(config=marked(), apps_list="hello\nhello-x\n")
    monkeypatch.setattr(app, "survey", lambda name, **_: (main if name == "hello" else old, []))
    for runner, expected in ((NOW + YEAR, ["hello-x"]), (NOW - YEAR, [])):
        monkeypatch.setattr(time, "time", lambda at=runner: float(at))
        assert review.stale(app, server, "hello", 7, print) == expected


def test_variables_of_ours_are_few_and_named_alike() -> None:
    assert all(name.startswith("CI_DEPLOY_") for name in OURS)


class Recorded:
    """A server that notes what it is told to change."""

    def __init__(self, *version: int) -> None:
        self.version = version
        self.told: list[str] = []

    def at_least(self, *version: int) -> bool:
        return self.version >= version

    def lost(self, _result: Result) -> bool:
        return False

    def change(self, words: Sequence[str], **_options: Any) -> Result:
        self.told.append(" ".join(words))
        return Result(("ssh",), 0)


def app_on(server: Recorded) -> DokkuApp:
    """The app of a provider whose other parts are not needed."""
    app = object.__new__(Dokku)
    app.ctx, app.server = SimpleNamespace(app="hello"), server  # type: ignore[assignment]
    return app


@pytest.mark.parametrize(
    ("action", "count", "words"),
    [
        (ProcessAction.RESTART, None, "ps:restart hello worker"),
        (ProcessAction.STOP, None, "ps:scale hello worker=0"),
        (ProcessAction.START, None, "ps:scale hello worker=1"),
        (ProcessAction.START, 2, "ps:scale hello worker=2"),
        (ProcessAction.SCALE, 3, "ps:scale hello worker=3"),
    ],
)
def test_one_process_is_meant_not_the_whole_app(
    action: ProcessAction, count: int | None, words: str
) -> None:
    """Dokku's `ps:stop APP` and `ps:start APP` act on all processes."""
    server = Recorded(0, 38)
    app_on(server).process("worker", action, count)
    assert server.told == [words]


def test_note_on_what_runs_is_gone_before_the_verification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It speaks of the containers before, and would hide that the new ones run (faults K8)."""
    told = list[str]()
    app = app_on(Recorded(0, 38))
    monkeypatch.setattr(app, "unfinished", list, raising=False)
    monkeypatch.setattr(app, "forget", lambda *_notes: told.append("forget"), raising=False)
    monkeypatch.setattr(verification, "verify", lambda *_all: told.append("verify"))
    monkeypatch.setattr(app, "_build_dir", SimpleNamespace(set=lambda _dir: None), raising=False)
    code = SimpleNamespace(run=lambda: True, build_dir="")
    app._bring(cast("Any", code))  # type: ignore[attr-defined]
    assert told == ["forget", "verify"]


def test_old_server_is_not_sent_a_command_that_it_would_split() -> None:
    server = Recorded(0, 33, 9)
    app = app_on(server)
    app.run(["bin/rails", "db:migrate"], what="migrate")
    assert server.told == ["run hello bin/rails db:migrate"]
    with pytest.raises(ToolMissing, match=r"Dokku 0\.33\.9 may change"):
        app.run(["sh", "-c", "echo a b"], what="print")
    assert len(server.told) == 1


def test_waiting_for_a_lock_is_told_every_15_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [1000.0], list[str]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    class Busy(deploy_method.DeployMethod):
        def prepare(self) -> None:
            """Nothing to prepare."""

        def _once(self) -> Result:
            self.watch(" !     hello currently has a deploy lock in place. Exiting...")
            return Result(("git",), 1)

    ctx = SimpleNamespace(
        app="hello",
        settings=SimpleNamespace(lock_timeout=60),
        runner=SimpleNamespace(until=float("inf")),
        console=SimpleNamespace(indent=lambda text: told.append(f"{now[0]:.0f} {text}")),
        cancellation=SimpleNamespace(sleep=sleep),
    )
    server = SimpleNamespace(running_builds=lambda _app: [])
    with pytest.raises(Locked, match="LOCK_TIMEOUT"):
        Busy(cast("Any", ctx), cast("Any", server), State(), Live, revision=SHA).run()
    assert now == [1060.0]
    ctx.runner.until = 1090.0  # what ends the waiting is what is named
    with pytest.raises(Locked, match="DEPLOY_TIMEOUT"):
        Busy(cast("Any", ctx), cast("Any", server), State(), Live, revision=SHA).run()
    del told[next(n for n, line in enumerate(told) if int(line.split()[0]) >= 1060) :]
    times = [int(line.split()[0]) - 1000 for line in told]
    assert times[0] == 0
    assert all(30 <= later - earlier < 36 for earlier, later in pairwise([*times, 62]))
