"""Random values for every secret setting."""

from __future__ import annotations

import random
import string

from ci_deploy.commands.assembly import every_setting

SECRETS = sorted(setting.name for setting in every_setting() if setting.secret)
LETTERS = string.ascii_letters + string.digits
SIGNS = "-_.~!$&'()*+,;=:@/?%#[]{}|\\^`\"<> "
NOBODY = "127.0.0.1:9"  # nobody listens there


def value(name: str, choose: random.Random) -> str:
    """A random secret such as this setting may have."""
    token = "".join(choose.choices(LETTERS, k=choose.randint(16, 60)))
    if name.endswith("_SMTP_URL"):
        return f"smtp://robot:{token}@{NOBODY}"
    if name.endswith("_URL"):
        return f"http://{NOBODY}/hooks/{token}"
    if name in {"SSH_PRIVATE_KEY_PASSPHRASE", "DOCKER_PASS"}:
        signs = "".join(choose.choices(SIGNS, k=choose.randint(1, 8)))
        return token[:12] + signs + token[12:]
    return token
