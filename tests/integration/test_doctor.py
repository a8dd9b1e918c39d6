"""`doctor` tells what is there now: it tries nothing again, and names all that is wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from standins.support import Checkout, run

COMPOSE = "services:\n  web:\n    image: nginx\n"


@pytest.mark.parametrize(
    "where",
    [
        {"SERVER_HOST": "jane@127.0.0.1:1 jane@127.0.0.1:2"},
        {"DOKKU_HOST": "dokku@127.0.0.1:1"},
        {"HEROKU_API_KEY": "HRKU-none", "HEROKU_API_URL": "http://127.0.0.1:1"},
    ],
    ids=["compose", "dokku", "heroku"],
)
def test_doctor_names_all_dead_hosts_at_once(
    checkout: Checkout, tmp_path: Path, where: dict[str, str]
) -> None:
    """It tried for 33 s, and named the first one only (faults B4)."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    checkout.commit("Compose", {"compose.yaml": COMPOSE})
    pins = {"SSH_PRIVATE_KEY": key.read_text(), "SSH_SERVER_HOSTKEYS": "SHA256:" + "A" * 43}
    env = {"APP_NAME": "hello", "DEPLOY_TAG": "1", **pins, **where}
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
    assert done.code == 11, done.output
    assert "rying again" not in done.output
    assert "127.0.0.1:1 " in done.output
    if "SERVER_HOST" in where:
        assert "127.0.0.1:2 cannot be reached: " in done.output
    assert done.seconds < 15
