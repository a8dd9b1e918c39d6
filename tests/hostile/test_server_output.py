"""A server that prints what it likes: log commands, control codes, our own key."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import quote

from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, run, settings_for

FORGED = [
    "::set-output name=url::https://evil.example.com",
    "  ::add-mask::hello",
    "##[add-mask]hello",
    "text ##[set-output name=status]succeeded",
    "::stop-commands::x",
    "::error::not ours",
    "\x1b[0Ksection_start:1700000000:fake[collapsed=true]\r\x1b[0Kfolded away",
    "section_end:1700000000:ci_deploy_deploy",
    "\x1b]0;a title\x07\x1b]8;;https://evil.example.com\x07link\x1b]8;;\x07",
    "\x1b[2J\x1b[1;1Hcleared",
    "##vso[task.setvariable variable=x]y",
]


def test_log_commands_of_a_build_have_no_effect(dokku: DokkuStandIn, checkout: Checkout) -> None:
    dokku.faults(Fault("build", "print", text="\n".join(FORGED)))
    for platform in ({}, {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(checkout.path)}):
        env = {**settings_for(dokku, REDEPLOY="true"), **platform}
        done = run("deploy", cwd=checkout.path, env=env)
        assert done.code == 0, done.output
        assert "evil.example.com" in done.output  # the text stays readable
        assert not re.search(r"(?m)^\s*::\w", done.output)
        assert not re.search(r"##(vso|teamcity)?\[", done.output)
        assert "section_start:1700000000" not in done.output
        assert "section_end:1700000000" not in done.output
        assert "\x1b]" not in done.output
        assert "\x1b[2J" not in done.output


def test_child_output_on_github_is_shielded_by_a_token_nobody_can_guess(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    dokku.faults(Fault("build", "print", text="\n".join(FORGED)))
    env = {**settings_for(dokku), "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(checkout.path)}
    done = run("ci-deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    tokens = re.findall(r"(?m)^::stop-commands::([0-9a-f]{32})$", done.output)
    assert tokens
    for token in tokens:
        assert done.output.count(f"::{token}::") == 1
        shielded = done.output.split(f"::stop-commands::{token}\n")[1].split(f"::{token}::")[0]
        assert "::group::" not in shielded


def test_the_deploy_key_never_appears_in_any_form(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    key = dokku.private_key
    encoded = base64.b64encode(key.encode()).decode()
    wrapped = "\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))
    forms = [key, encoded, wrapped, quote(key), key.replace("\n", "\\n")]
    dokku.faults(Fault("build", "print", text="\n".join(forms)))
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    body = [line for line in key.splitlines() if "-----" not in line]
    parts = [*body, *wrapped.splitlines(), *(quote(line) for line in body)]
    for part in parts:
        assert part[:24] not in done.output, part
    assert "[REDACTED]" in done.output
    assert body[0] not in (checkout.path / "deploy-report.json").read_text()


def test_secrets_are_in_no_argv_and_on_no_disk(dokku: DokkuStandIn, checkout: Checkout) -> None:
    import os
    import time
    from contextlib import suppress
    from tempfile import TemporaryDirectory

    from standins.support import Run

    dokku.configure(build_seconds=3.0)
    needle = [line for line in dokku.private_key.splitlines() if "-----" not in line][1]
    with TemporaryDirectory(prefix="t", dir="/tmp") as private:
        running = Run("deploy", cwd=checkout.path, env=settings_for(dokku, TMPDIR=private))
        seen: set[str] = set()
        while running.process.poll() is None:
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        seen.add(Path(f"/proc/{entry}/cmdline").read_text(errors="replace"))
                    except OSError:
                        continue
            for path in Path(private).iterdir():
                with suppress(FileNotFoundError):  # it may be gone by now
                    assert path.stat().st_mode & 0o077 == 0
            for folder, _, names in os.walk(private):
                for name in names:
                    with suppress(OSError):
                        assert needle not in Path(folder, name).read_text(errors="replace")
            time.sleep(0.02)
        done = running.done()
    assert done.code == 0, done.output
    assert any("git" in argv and "push" in argv and str(dokku.port) in argv for argv in seen)
    assert not [argv for argv in seen if needle in argv]
