"""Settings: where a value comes from, what it becomes, and what is said when it is wrong."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ci_deploy.commands.assembly import every_setting
from ci_deploy.errors import Problem, SettingsError, as_inputs
from ci_deploy.net.ssh.keys import private_key
from ci_deploy.settings import REQUIRED, SECRET_CONFIG_KEY, declared, load, setting, settings
from ci_deploy.settings import parsers as values
from ci_deploy.settings.elsewhere import OTHERS
from ci_deploy.settings.parsers import http_url
from ci_deploy.settings.sources import Source

SECRET = "hunter2-hunter2"


@settings
class Base:
    """Settings of the base."""

    app_name: str = setting("APP_NAME", "The app", pattern=r"[a-z-]+", example="my-app")


@settings
class Sample(Base):
    """Settings of the sample."""

    method: str = setting("METHOD", "How", default="auto", choices=("auto", "push", "image"))
    seconds: int = setting("SECONDS", "How long", default=5)
    force: bool = setting("FORCE", "Whether", default=False)
    hosts: tuple[str, ...] = setting("HOSTS", "Where", default=())
    config: dict[str, str] = setting("CONFIG", "What", default={}, text=True)
    token: str = setting("TOKEN", "Secret", default="", secret=True)
    keys: str = setting("KEYS", "Lines", default="", aliases=("OLD_KEYS", "OLDER_KEYS"), text=True)


def fetch(environ: Mapping[str, str], *, inputs: bool = False) -> Sample:
    """The settings; all problems would be raised."""
    source = Source({"APP_NAME": "web", **environ}, inputs=inputs)
    loaded = load(Sample, source, lambda _secret: None)
    if loaded is None:
        raise SettingsError(*source.problems)
    assert source.problems == []
    return loaded


def problems(environ: Mapping[str, str], cls: type[Any] = Sample, **options: bool) -> list[Problem]:
    """What is wrong with the settings."""
    source = Source(environ, **options)
    assert load(cls, source, lambda _secret: None) is None
    return source.problems


# --- where values come from ---


def test_each_step_of_the_lookup_wins_over_the_next(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from-the-file\n")
    (tmp_path / "env").write_text("TOKEN=from-env-file\n")
    steps = {
        "INPUT_TOKEN": "from-the-input",
        "TOKEN": "from-the-variable",
        "TOKEN_FILE": str(tmp_path / "file"),
        "ENV_FILE": str(tmp_path / "env"),
    }
    for expected in ("from-the-input", "from-the-variable", "from-the-file", "from-env-file", ""):
        assert fetch(steps).token == expected
        steps = dict(list(steps.items())[1:])


def test_github_spelling_wins_over_the_spelling_of_our_gitlab_template() -> None:
    names = {"INPUT_APP-NAME": "one", "INPUT_APP_NAME": "two", "APP_NAME": "three"}
    for expected in ("one", "two", "three"):
        source = Source(names)
        assert source.text("APP_NAME") == expected
        names = dict(list(names.items())[1:])


@pytest.mark.parametrize("empty", ["", " ", "\n\t "])
def test_empty_means_unset_at_every_step(tmp_path: Path, empty: str) -> None:
    (tmp_path / "file").write_text(empty)
    (tmp_path / "env").write_text(f"TOKEN='{empty}'\nKEYS=\n")
    environ = {"INPUT_TOKEN": empty, "TOKEN": empty, "TOKEN_FILE": str(tmp_path / "file")}
    environ |= {"ENV_FILE": str(tmp_path / "env"), "METHOD": empty, "SECONDS": empty}
    loaded = fetch(environ)
    assert (loaded.token, loaded.method, loaded.seconds, loaded.keys) == ("", "auto", 5, "")
    found = problems({"APP_NAME": empty})
    assert [str(each) for each in found] == ["APP_NAME: is required. An example: `my-app`."]


def test_any_setting_may_come_from_a_file(tmp_path: Path) -> None:
    for name, text in {"APP_NAME": "shop\n", "SECONDS": "7\r\n", "HOSTS": "a\nb\n"}.items():
        (tmp_path / name).write_text(text)
    files = {f"{path.name}_FILE": str(path) for path in tmp_path.iterdir()}
    loaded = fetch({"APP_NAME": "", **files})
    assert (loaded.app_name, loaded.seconds, loaded.hosts) == ("shop", 7, ("a", "b"))


def test_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    (found,) = problems({"APP_NAME": "web", "SECONDS_FILE": str(missing)})
    assert str(found) == (
        f"SECONDS (SECONDS_FILE): the file {missing} cannot be read: No such file or directory."
    )


@pytest.mark.parametrize("name", ["TOKEN", "KEYS"])
def test_secrets_and_texts_may_hold_a_path(tmp_path: Path, name: str) -> None:
    """GitLab's File variables are paths."""
    path = tmp_path / "file"
    path.write_text("first line\nsecond\n")
    loaded = fetch({name: str(path)})
    assert "second" in (loaded.token or loaded.keys)


@pytest.mark.parametrize("value", ["/no/such/file", "a/b" * 2000, "/etc", "x/\ny"])
def test_what_is_no_path_of_a_file_stays_text(value: str) -> None:
    assert fetch({"TOKEN": value}).token == value


def test_short_settings_never_hold_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("auto")
    (found,) = problems({"APP_NAME": "web", "METHOD": str(tmp_path / "file")})
    assert found.setting == "METHOD"


def test_env_file_is_read_without_interpolation(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text(
        "# a comment\nexport APP_NAME=shop\n"
        'TOKEN=\'pa$$${HOME}`id`word\'\nSECONDS="9"\nCONFIG="A=1\nB=${TOKEN}"\n'
    )
    loaded = fetch({"APP_NAME": "", "ENV_FILE": str(path)})
    assert loaded.token == "pa$$${HOME}`id`word"
    assert (loaded.app_name, loaded.seconds) == ("shop", 9)
    assert loaded.config == {"A": "1", "B": "${TOKEN}"}


def test_env_file_says_where_a_wrong_value_stands(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("SECONDS=ten\n")
    (found,) = problems({"APP_NAME": "web", "ENV_FILE": str(path)})
    assert (
        str(found)
        == f"SECONDS ({path}, named by ENV_FILE): `ten` is not a whole number, 0 or more."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"APP_NAME=web\nnot a line\n", "line 2 is not `NAME=value`"),
        (b"TOKEN=\xff\xfe\n", "can't decode"),
    ],
)
def test_broken_env_file_is_a_problem_of_its_own(
    tmp_path: Path, text: bytes | None, reason: str
) -> None:
    path = tmp_path / "env"
    if text is not None:
        path.write_bytes(text)
    source = Source({"APP_NAME": "web", "ENV_FILE": str(path)})
    assert [problem.setting for problem in source.problems] == ["ENV_FILE"]
    assert reason in str(source.problems[0])


def test_aliases_are_asked_after_the_name_itself() -> None:
    assert fetch({"OLD_KEYS": "old", "OLDER_KEYS": "older"}).keys == "old"
    assert fetch({"KEYS": "new", "OLD_KEYS": "old"}).keys == "new"
    assert fetch({"KEYS": "", "OLDER_KEYS": "older"}).keys == "older"


def test_alias_that_is_given_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("KEYS=from-env-file\n")
    assert fetch({"OLD_KEYS": "old", "ENV_FILE": str(tmp_path / "env")}).keys == "old"


def test_asking_by_name_alone_does_not_spoil_the_real_answer(tmp_path: Path) -> None:
    """Layers are chosen by the trigger's name, before its declaration is loaded."""
    (tmp_path / "file").write_text("from the file")
    source = Source({"APP_NAME": "web", "OLD_KEYS": "old", "TOKEN": str(tmp_path / "file")})
    assert source.text("KEYS") == ""
    assert source.text("TOKEN") == str(tmp_path / "file")
    loaded = load(Sample, source, lambda _secret: None)
    assert loaded is not None
    assert (loaded.keys, loaded.token) == ("old", "from the file")


# --- what they become ---


@pytest.mark.parametrize("text", ["a b c", "a,b,c", "a, b,\n\tc", "\na\nb\nc\n", ",a,,b c,"])
def test_lists_take_blanks_commas_and_newlines(text: str) -> None:
    assert fetch({"HOSTS": text}).hosts == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE", "1", "yes", "on")),
        *((word, False) for word in ("false", "FALSE", "0", "No", "off")),
    ],
)
def test_booleans_are_everybodys_words(text: str, value: bool) -> None:
    assert fetch({"FORCE": text}).force is value


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("FORCE", "maybe", "`maybe` is not a boolean: use true or false."),
        ("SECONDS", "-1", "`-1` is not a whole number, 0 or more."),
        ("SECONDS", "1.5", "`1.5` is not a whole number, 0 or more."),
        ("SECONDS", "٣", "`٣` is not a whole number, 0 or more."),
        ("METHOD", "pusch", "`pusch` is not one of auto, push, image. Did you mean `push`?"),
        ("METHOD", "x", "`x` is not one of auto, push, image."),
        ("APP_NAME", "My App", "`My App` is not valid; an example: `my-app`."),
        (
            "CONFIG",
            "A=1\nB",
            "line 2 is not `NAME=value`. A value of several lines needs quotes.",
        ),
        ("SECONDS", "10m", "`10m` is not a whole number: leave out the unit."),
    ],
)
def test_wrong_values_are_told_with_the_reason(name: str, value: str, reason: str) -> None:
    (found,) = problems({"APP_NAME": "web", name: value})
    assert str(found) == f"{name}: {reason}"


@pytest.mark.parametrize(
    "text", ["$APP_NAME", "${MY_APP}", "${{ vars.APP }}", "<< parameters.app >>", "$[[ inputs.a ]]"]
)
def test_a_reference_that_nothing_has_replaced_is_told_as_such(text: str) -> None:
    """`A: $A` in a pipeline file: the value looked like a typing error. (faults E4)"""
    (found,) = problems({"APP_NAME": text})
    assert "is an unexpanded reference" in str(found)


def test_quotes_that_docker_has_kept_are_named() -> None:
    """`docker run --env-file` takes them for a part of the value. (faults E4)"""
    (found,) = problems({"APP_NAME": '"web"'})
    assert "The quotes are part of the value" in str(found)


@pytest.mark.parametrize("url", ["http://x", "https://x.example:8080/a?b=c#d", "HTTPS://X/"])
def test_http_urls_are_taken(url: str) -> None:
    assert http_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://x", "x.example.com", "http:///path", "https://user:pass@x/", "http://x y/"),
        *("http://x:99999/", "http://[::1/", "http://x:port/", "http:x", "javascript:1"),
    ],
)
def test_what_is_no_http_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid http|must be left out") as caught:
        http_url(url)
    assert url not in str(caught.value)


def test_defaults_of_dictionaries_are_not_shared() -> None:
    assert fetch({}).config is not fetch({}).config


# --- secrets ---


@settings
class Secrets:
    """Secrets of every type."""

    text: str = setting("A_TEXT", "", default="", secret=True, pattern=r"[a-z]+")
    number: int = setting("A_NUMBER", "", default=0, secret=True)
    flag: bool = setting("A_FLAG", "", default=False, secret=True)
    choice: str = setting("A_CHOICE", "", default="", secret=True, choices=("hunter2-hunter1",))
    url: str = setting("A_URL", "", default="", secret=True, parse=http_url)
    key: Any = setting("A_KEY", "", default=None, secret=True, text=True, parse=private_key)
    lines: dict[str, str] = setting("SOME_LINES", "", default={}, secret=True, text=True)


@pytest.mark.parametrize("name", [each.name for each in declared(Secrets)])
def test_no_message_shows_any_of_a_secret(name: str) -> None:
    (found,) = problems({name: SECRET}, Secrets)
    assert found.setting == name
    assert "hunter" not in str(found)


def test_secrets_are_hidden_before_anything_is_said_of_them(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key of the file")
    hidden: list[str] = []
    source = Source({"A_NUMBER": SECRET, "A_KEY_FILE": str(tmp_path / "key")})
    load(Secrets, source, hidden.append)
    assert {SECRET, "key of the file"} <= set(hidden)


def test_key_is_hidden_as_it_was_given_and_as_it_is_used() -> None:
    body = base64.b64encode(bytes(range(200))).decode()
    key = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    hidden: list[str] = []
    given = base64.b64encode(key.encode()).decode()
    assert load(Secrets, Source({"A_KEY": given}), hidden.append)
    assert hidden[0] == given
    assert body[:64] in hidden[1]


def test_settings_objects_do_not_show_secrets() -> None:
    assert SECRET not in repr(fetch({"TOKEN": SECRET}))


def test_of_dotenv_lines_only_secret_looking_values_are_hidden() -> None:
    hidden: list[str] = []
    lines = "RAILS_ENV=production\nSECRET_KEY_BASE=aaaaaa\nDATABASE_URL=postgres://u:p@h/d\nDSN=b"
    source = Source({"APP_NAME": "web", "CONFIG": lines})
    load(Sample, source, hidden.append)
    assert hidden == ["aaaaaa", "postgres://u:p@h/d", "b"]


@pytest.mark.parametrize(
    "key",
    [
        *("SECRET_KEY_BASE", "RAILS_MASTER_KEY", "AWS_ACCESS_KEY_ID", "API_KEYS", "STRIPE_APIKEY"),
        *("DB_PASS", "PGPASSWORD", "DB_PASS_READONLY", "JWT_SECRET_2", "SLACK_WEBHOOK_URL"),
        *("SENTRY_DSN", "CLOUDAMQP_URL", "DATABASE_REPLICA_URL", "GITHUB_TOKEN", "apiKey"),
    ],
)
def test_names_of_secrets_in_an_apps_config(key: str) -> None:
    assert SECRET_CONFIG_KEY.search(key)


@pytest.mark.parametrize(
    "key",
    [
        *("PASSENGER_APP_ENV", "S3_KEY_PREFIX", "CACHE_KEY_PREFIX", "KEYCLOAK_REALM", "RAILS_ENV"),
        *("SECRET_NAME", "TOKEN_TTL", "KEYCLOAK_URL", "COMPASSION", "APP_URL", "WEBHOOK_TIMEOUT"),
    ],
)
def test_names_that_only_look_so(key: str) -> None:
    assert not SECRET_CONFIG_KEY.search(key)


# --- all problems at once, and what may be meant ---


def test_all_problems_come_at_once() -> None:
    found = problems({"SECONDS": "ten", "FORCE": "maybe", "METHOD": "no", "CONFIG": "x"})
    assert [each.setting for each in found] == ["APP_NAME", "METHOD", "SECONDS", "FORCE", "CONFIG"]
    error = SettingsError(*found)
    assert error.code == 2
    assert "5 settings are missing or wrong." in error.message
    assert all(str(each) in error.message for each in found)


def test_problems_are_spelled_as_inputs_where_settings_are_inputs() -> None:
    names = {"INPUT_SECONDS": "ten", "FORCE": "maybe", "INPUT_OLD_KEYS": "/nowhere/key"}
    known = {name for each in declared(Sample) for name in (each.name, *each.aliases)}
    assert [as_inputs(str(each), known) for each in problems(names, inputs=True)] == [
        "`app-name`: is required. An example: `my-app`.",
        "`seconds`: `ten` is not a whole number, 0 or more.",
        "`force`: `maybe` is not a boolean: use true or false.",
    ]  # (an assembly leaves out what is given as a variable)
    assert [str(each) for each in problems(names)][1] == (
        "SECONDS (input `seconds`): `ten` is not a whole number, 0 or more."
    )


def test_required_and_optional_settings_are_told_apart() -> None:
    needed = {each.name for each in declared(Sample) if each.required}
    assert needed == {"APP_NAME"}
    assert all(each.default is REQUIRED for each in declared(Sample) if each.name in needed)
    assert vars(fetch({})) == vars(Sample(app_name="web"))


def test_missing_setting_names_a_variable_that_may_be_misspelt() -> None:
    (found,) = problems({"APPNAME": "web"})
    assert str(found).endswith("The variable APPNAME is set: is its name misspelt?")


@pytest.mark.parametrize("other", ["DOKKU_APP_NAME", "HEROKU_APP"])
def test_missing_setting_names_the_variable_of_another_tool(other: str) -> None:
    (found,) = problems({other: "web", "SSH_KEY": "not of these settings"})
    assert str(found).endswith(f"{other} is set, but ci-deploy reads APP_NAME.")
    (found,) = problems({other: ""})
    assert "ci-deploy reads" not in str(found)


def test_problem_of_a_setting_without_a_value_is_advised() -> None:
    """Also one that only the layer requires; not twice, and not where a value was given."""
    source = Source({"SSH_USER": "deploy", "SSH_KEY": "k", "SSH_PRIVATE_KEY": "x"}, inputs=True)
    advised = source.advised(Problem("SERVER_USER", "is required.", "", "Set it."))
    assert advised.remedy == "Set it. SSH_USER is set, but ci-deploy reads SERVER_USER."
    assert source.advised(advised) == advised
    given = Problem("SSH_PRIVATE_KEY", "is no key.", "variable SSH_PRIVATE_KEY")
    assert source.advised(given) == given
    assert source.advised(Problem("SSH_PRIVATE_KEY", "is no key.")).remedy == ""


def test_names_of_other_tools_are_none_of_ours() -> None:
    ours = {name for each in every_setting() for name in (each.name, *each.aliases)}
    assert set(OTHERS) <= ours
    others = [name for names in OTHERS.values() for name in names]
    assert len(set(others)) == len(others)
    assert not set(others) & ours


@pytest.mark.parametrize("environ", [{"APP_NAME": ""}, {"APP_NAMES": ""}])
def test_empty_variable_is_no_misspelling(environ: dict[str, str]) -> None:
    (found,) = problems(environ)
    assert "misspelt" not in str(found)


def test_variables_that_look_like_an_unset_setting_are_found() -> None:
    source = Source({"APP_NAME": "web", "SECOND": "7", "METHOD_": "", "FORCE": "1", "FORCES": "1"})
    assert list(source.misspelt(declared(Sample))) == [("SECOND", "SECONDS")]


def test_neighbours_of_settings_are_no_misspellings() -> None:
    source = Source({"APP_NAME": "web", "KEYS": "a", "OLD_KEYS": "b", "TOKEN_FILE": ""})
    assert list(source.misspelt(declared(Sample))) == []


def test_unknown_inputs_are_refused_where_settings_are_inputs() -> None:
    environ = {"INPUT_APP-NAME": "web", "INPUT_METHODS": "x", "INPUT_COLOUR": "red"}
    environ |= {"INPUT_EMPTY": "", "INPUT_OLD-KEYS": "an alias"}
    found = list(Source(environ, inputs=True).unknown_inputs(declared(Sample)))
    assert [str(each) for each in found] == [
        "input `methods`: there is no such input. Did you mean `method`?",
        "input `colour`: there is no such input.",
    ]


def test_elsewhere_only_near_misses_among_inputs_count() -> None:
    """INPUT_ is a prefix that other programs use too."""
    environ = {"INPUT_APP_NAME": "web", "INPUT_METHODS": "x", "INPUT_DEVICE": "/dev/input"}
    found = list(Source(environ).unknown_inputs(declared(Sample)))
    assert [each.setting for each in found] == ["input `methods`"]


# --- declarations ---


def test_declarations_know_their_group_and_inherit() -> None:
    groups = {each.name: (each.group, each.group_help) for each in declared(Sample)}
    assert groups["APP_NAME"] == ("Base", "Settings of the base.")
    assert groups["METHOD"] == ("Sample", "Settings of the sample.")
    assert next(iter(groups)) == "APP_NAME"


def test_fields_that_are_given_are_not_asked() -> None:
    loaded = load(Sample, Source({}), lambda _secret: None, app_name="given")
    assert loaded is not None
    assert loaded.app_name == "given"


def test_input_names_are_kebab_case() -> None:
    assert [each.input for each in declared(Sample)][:2] == ["app-name", "method"]


@pytest.mark.parametrize(
    ("text", "folder"),
    [("./web", "web"), (".", ""), ("web/.", "web"), ("a//b/", "a/b"), ("./", ""), ("web", "web")],
)
def test_folder_has_one_spelling(text: str, folder: str) -> None:
    """What reads files of the app finds them in each spelling of APP_DIR (faults A7)."""
    assert values.folder(text) == folder


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "// b", /* c */ "d": [1, 2,], // e\n}',
        '\ufeff{"a": "// b", "d": [1, 2]}',
        '{"a": "// b", "d": [1, 2 /* , */,\n],}',
    ],
)
def test_json_with_comments_and_trailing_commas_is_read(text: str) -> None:
    """Dokku reads app.json so since 0.37 (faults A15)."""
    assert values.jsonc(text) == {"a": "// b", "d": [1, 2]}
