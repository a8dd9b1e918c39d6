"""Every secret setting, in every form that docs/security.md names, into all that a run writes.

Random values of fixed seeds: the server prints them, and neither the log nor a file has them.
"""

from __future__ import annotations

import contextlib
import random
import string
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ci_deploy.commands.assembly import every_setting
from ci_deploy.output.redaction import Redactor
from ci_deploy.output.sanitizer import Sanitizer
from tests.hostile.tally import Kind, Record, tried
from tests.standins.dokku.processes import children
from tests.standins.dokku.server import DokkuStandIn, Fault
from tests.support import Checkout, Done, Run, settings_for
from tests.unit.test_redaction import SPELLINGS, assert_safe, cut

SECRETS = sorted(setting.name for setting in every_setting() if setting.secret)
# Who gets a secret in its environ, since it needs it: askpass.sh asks for the passphrase there.
MAY_KNOW = {"SSH_PRIVATE_KEY_PASSPHRASE": {"ssh-add", "dash", "bash", "busybox"}}
Seen = set[tuple[tuple[str, str], str]]  # of which program its argv or environ, and the text
LETTERS = string.ascii_letters + string.digits
SIGNS = "-_.~!$&'()*+,;=:@/?%#[]{}|\\^`\"<> "


def value(name: str, choose: random.Random) -> str:
    """A random secret such as this setting may have."""
    token = "".join(choose.choices(LETTERS, k=choose.randint(16, 60)))
    if name.endswith("_SMTP_URL"):
        return f"smtp://robot:{token}@127.0.0.1:9"
    if name.endswith("_URL"):
        return f"http://127.0.0.1:9/hooks/{token}"
    if name in {"SSH_PRIVATE_KEY_PASSPHRASE", "DOCKER_PASS"}:
        signs = "".join(choose.choices(SIGNS, k=choose.randint(1, 8)))
        return token[:12] + signs + token[12:]
    return token


def test_every_secret_setting_is_tried() -> None:
    """A new one comes in by itself; these have been there."""
    assert {"SSH_PRIVATE_KEY", "HEROKU_API_KEY", "DOCKER_PASS", "SENTRY_AUTH_TOKEN"} <= {*SECRETS}


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(20, marks=[pytest.mark.hostile, pytest.mark.timeout(1800)])]
)
def test_no_form_and_no_split_lets_a_secret_into_the_log(
    record_property: Record, rounds: int
) -> None:
    choose, count = random.Random(20261129), 0
    for name in SECRETS * rounds:
        secret = value(name, choose)
        redactor = Redactor()
        redactor.add(secret)
        for form, spell in SPELLINGS.items():
            printed = spell(secret)
            for pieces in (1, 2, choose.randint(3, 30)) if rounds > 1 else (choose.randint(1, 9),):
                count += 1
                before = "".join(choose.choices(LETTERS + "\n ", k=choose.randint(0, 200)))
                shown = list[str]()
                sanitizer = Sanitizer(redactor, shown.append)
                for chunk in cut(f"{before}\n{printed} after\n".encode(), choose, pieces):
                    sanitizer.feed(chunk)
                sanitizer.close()
                text = "\n".join(shown)
                assert "after" in text, (name, form)
                assert_safe(text.replace(before.strip(), ""), printed)
    tried(record_property, Kind.FORMS, count)


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_no_way_around(code: str) -> None:
    """PowerShell writes it; docs/security.md says that it is caught."""
    redactor, shown = Redactor(), list[str]()
    redactor.add("xoxp-7Gq0Zt4WmB2kLr9VnY1cDf5HjS3a")
    sanitizer = Sanitizer(redactor, shown.append)
    sanitizer.feed("it is xoxp-7Gq0Zt4WmB2kLr9VnY1cDf5HjS3a.\n".encode(code))
    sanitizer.close()
    assert "[REDACTED]" in "".join(shown)
    assert "Zt4WmB2kLr9" not in "".join(shown)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.hostile) for n in range(1, 25))]
)
def test_a_server_that_prints_every_secret_gets_none_into_a_log_or_a_file(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, seed: int
) -> None:
    choose = random.Random(seed)
    secrets = {name: value(name, choose) for name in SECRETS}
    del secrets["SSH_PRIVATE_KEY"]  # the real one: tests/hostile/test_server_output.py
    forms = [spell(secret) for secret in secrets.values() for spell in SPELLINGS.values()]
    choose.shuffle(forms)
    failing = choose.random() < 0.5  # then the last lines are in the message and in the report
    faults = [Fault("build", "print", text="\n".join(forms))]
    if failing:
        faults.append(Fault("live", "refuse", text=" ".join(choose.sample(forms, 20))))
    dokku.faults(*faults)
    private = tmp_path / "private"
    private.mkdir()
    files = {f"GITHUB_{name.upper()}": str(tmp_path / name) for name in ("output", "env")}
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(checkout.path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        **files,
    }
    for path in (tmp_path / "output", tmp_path / "env", tmp_path / "summary"):
        path.touch()
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(checkout.path)}
    platform = choose.choice([github, gitlab, {}])
    env = settings_for(
        dokku, **secrets, **platform, TMPDIR=str(private), DEPLOY_PROVIDER="dokku",
        APP_CONFIG=f"API_TOKEN={secrets['HEROKU_API_KEY']}\n",
        NOTIFY_EMAIL_FROM="ci@example.com", NOTIFY_EMAIL_TO="team@example.com",
    )  # fmt: skip
    running = Run("deploy", cwd=checkout.path, env=env)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(running.done)
        seen, open_files = _watched(running, ending, private)
    done = ending.result()
    assert (done.code in {20, 22}) if failing else (done.code == 0), done.output + done.errors
    written = [path for path in tmp_path.glob("*") if path.is_file()]
    written += [path for path in checkout.path.glob("*") if path.is_file()]
    told = [line for line in done.output.splitlines() if not line.startswith("::add-mask::")]
    texts = ["\n".join(told), done.errors, *(path.read_text() for path in written)]
    assert len(texts) > 3
    for name, secret in secrets.items():
        for text in texts:
            assert secret not in text, name
            assert_safe(text, secret, window=24)
        parts = [secret.rpartition("/")[2]] if "://" in secret else [secret]
        for (program, part), text in seen:
            if part == "argv" or program not in MAY_KNOW.get(name, ()):
                assert not any(each in text for each in parts), (name, program, part)
    assert open_files == []
    assert list(private.iterdir()) == []
    tried(record_property, Kind.SINKS, len(forms))


def _watched(running: Run, ending: Future[Done], private: Path) -> tuple[Seen, list[str]]:
    """What the argv and environ of its children had, and which private files others may read;
    until it ends."""
    seen, loose = Seen(), set[str]()
    while not ending.done():
        for child in children(running.process.pid):
            with contextlib.suppress(OSError):
                program = Path(f"/proc/{child}/exe").readlink().name
                argv = Path(f"/proc/{child}/cmdline").read_bytes()
                environ = Path(f"/proc/{child}/environ").read_bytes()
                if Path(f"/proc/{child}/exe").readlink().name != program:
                    continue  # it has just become another one
                if not program.startswith("python"):  # a fork of ours still has our own
                    seen.add(((program, "argv"), argv.decode(errors="replace")))
                    seen.add(((program, "environ"), environ.decode(errors="replace")))
        for path in private.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mode & 0o077:
                    loose.add(str(path))
        time.sleep(0.03)
    return seen, sorted(loose)
