"""Each program that a run starts, with its whole argument list and all of its variables: no secret
that it does not need, and no variable that is not on a list.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Run, settings_for
from tests.hostile.children import MAY_KNOW, executed, noted, unexpected
from tests.hostile.receivers import receivers
from tests.hostile.tally import Kind, Record
from tests.hostile.test_sinks import STRANGE
from tests.hostile.values import SECRETS, value
from tests.hostile.worlds import heroku_job

PROXY = {"https_proxy": "http://bot:pr0xyPassw0rd77@127.0.0.1:9", "no_proxy": "127.0.0.1"}
OFFLINE = {"ssh-agent", "ssh-add"}


def _given(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], secrets: Mapping[str, str], tmp: Path,
    may: Mapping[str, set[str]] = MAY_KNOW,
) -> tuple[int, list[str], set[str]]:  # fmt: skip
    """How many programs a command has started, what is wrong with what they got, their names."""
    notes, empty = tmp / "strace", tmp / "empty"
    empty.mkdir(exist_ok=True)
    whole = {**env, **secrets, **STRANGE, **PROXY}
    done = Run("ci-deploy", *words, cwd=cwd, env=whole, through=noted(notes)).done(timeout=300)
    assert done.code == 0, done.output + done.errors
    found, programs = list[str](), list[str]()
    for program, argv, environ in executed(notes):
        programs.append(program)
        found += [f"{program} gets {name}" for name in unexpected(environ, empty)]
        values = "\n".join(environ.values())
        for name, secret in {**secrets, **STRANGE}.items():
            parts = re.findall(r"\w{16,}", secret) or [secret]  # of a URL, a key
            if any(part in argv for part in parts):
                found.append(f"{name} is in an argument of {program}")
            if any(part in values for part in parts) and program not in may.get(name, ()):
                found.append(f"{program} gets {name}")
        if program in OFFLINE and "pr0xy" in values:
            found.append(f"{program} gets the proxy's password")
    return len(programs), found, {*programs}


@pytest.mark.timeout(600)
def test_programs_of_a_deploy_to_dokku(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    choose = random.Random(20261130)
    secrets = {name: value(name, choose) for name in SECRETS}
    with receivers(secrets, "", tmp_path) as everybody:
        secrets |= {name: everybody.env[name] for name in secrets.keys() & everybody.env.keys()}
        secrets["SSH_PRIVATE_KEY"] = dokku.private_key
        env = settings_for(dokku, **everybody.env, DEPLOY_PROVIDER="dokku")
        count, found, programs = _given(["deploy"], checkout.path, env, secrets, tmp_path)
    record_property("hostile", [Kind.CHILDREN.name, count, len(found)])
    assert {"git", "ssh", "ssh-agent", "ssh-add", "sentry-cli"} <= programs
    assert not found, "\n".join(found)


@pytest.mark.hostile
@pytest.mark.timeout(600)
def test_programs_of_commands_on_heroku(tmp_path: Path, record_property: Record) -> None:
    with heroku_job(tmp_path) as (_server, checkout, env):
        secrets = {"HEROKU_API_KEY": env["HEROKU_API_KEY"]}
        pushing = {"git", "git-remote-http", "sh"}  # with a helper that gives it the key
        may = {"HEROKU_API_KEY": MAY_KNOW["HEROKU_API_KEY"] | pushing}
        for words, wanted in ((["deploy"], "git"), (["run", "--", "echo", "hello"], "node")):
            count, found, programs = _given(words, checkout.path, env, secrets, tmp_path, may)
            record_property("hostile", [Kind.CHILDREN.name, count, len(found)])
            assert wanted in programs
            assert not found, "\n".join(found)
