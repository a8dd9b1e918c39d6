"""A server that prints every secret, in every form: neither the log, nor a file, nor anybody whom a
deploy tells gets one; neither does a program that does not need it.
"""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn, Fault
from standins.forge import GITHUB, GITLAB
from standins.support import Checkout, Run, settings_for
from tests.hostile.children import MAY_KNOW, unexpected, watched
from tests.hostile.receivers import change, receivers
from tests.hostile.tally import Kind, Record, tried
from tests.hostile.values import SECRETS, value
from tests.unit.test_redaction import SPELLINGS, assert_safe

FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")
# Nobody asks for these; no program may get them.
STRANGE = {"CI_JOB_TOKEN": "glcbt-64_n0b0dyAsks", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-K7MDENG"}


FEW = (0,)
REST = [pytest.param(seed, marks=pytest.mark.hostile) for seed in range(14) if seed not in FEW]


@pytest.mark.parametrize("seed", [*FEW, *REST])
def test_a_server_that_prints_every_secret_gets_none_into_a_log_a_file_or_a_notice(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, seed: int
) -> None:
    choose = random.Random(seed)
    secrets = {name: value(name, choose) for name in SECRETS}
    del secrets["SSH_PRIVATE_KEY"]  # the real one: tests/hostile/test_server_output.py
    kind, private, aside = choose.choice([GITHUB, GITLAB, ""]), tmp_path / "private", tmp_path / "a"
    private.mkdir()
    aside.mkdir()
    files = {name: str(tmp_path / name) for name in FILES}
    for path in files.values():
        Path(path).touch()
    with receivers(secrets, kind, aside) as everybody:
        secrets |= {name: everybody.env[name] for name in secrets.keys() & everybody.env.keys()}
        forms = [spell(secret) for secret in secrets.values() for spell in SPELLINGS.values()]
        choose.shuffle(forms)
        failing = choose.random() < 0.5  # then the last lines are in the message and in the report
        faults = [Fault("build", "print", text="\n".join(forms))]
        if failing:
            faults.append(Fault("live", "refuse", text=" ".join(choose.sample(forms, 20))))
        dokku.faults(*faults)
        job = {**change(kind, checkout.path, checkout.head, aside / "event.json"), **STRANGE}
        env = settings_for(
            dokku, **{**secrets, **everybody.env, **job, **(files if kind == GITHUB else {})},
            TMPDIR=str(private), DEPLOY_PROVIDER="dokku",
            APP_CONFIG=f"API_TOKEN={secrets['HEROKU_API_KEY']}\n",
        )  # fmt: skip
        running = Run("deploy", cwd=checkout.path, env=env)
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(running.done)
            seen, open_files = watched(running, ending, private)
        done, heard = ending.result(), everybody.heard()
    assert (done.code in {20, 22}) if failing else (done.code == 0), done.output + done.errors
    assert [who for who, words in heard.items() if not words] == []
    written = [path for path in tmp_path.glob("*") if path.is_file()]
    written += [path for path in checkout.path.glob("*") if path.is_file()]
    told = [line for line in done.output.splitlines() if not line.startswith("::add-mask::")]
    texts = ["\n".join(told), done.errors, *(path.read_text() for path in written)]
    assert len(texts) > 3
    for name, secret in secrets.items():
        for text in (*texts, *heard.values()):
            assert secret not in text, name
            assert_safe(text, secret, window=24)
        parts = re.findall(r"\w{16,}", secret) if "://" in secret else [secret]
        for (program, part), text in seen:
            if part == "argv" or program not in MAY_KNOW.get(name, ()):
                assert not any(each in text for each in parts), (name, program, part)
    environs = [text for (_program, part), text in seen if part == "environ"]
    names = {each.partition("=")[0] for text in environs for each in text.split("\0") if each}
    assert len(names) > 10
    assert unexpected(names, aside) == set()
    assert open_files == []
    assert list(private.iterdir()) == []
    tried(record_property, Kind.SINKS, len(forms))
