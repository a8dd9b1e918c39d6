"""Variables of the compose files that have no value, and what else Compose does not accept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ci_deploy.layers.providers.docker.mentioned import VARIABLE
from ci_deploy.layers.providers.docker.model import Description
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.run.context import Context

UNSET_HERE = Path(__file__).parent / "host/variables.sh"  # runs on the host


def tell(
    ctx: Context,
    tree: Tree,
    variables: Iterable[str],
    unset: Mapping[str, Sequence[str]],
    *,
    lacking: bool,
) -> None:
    """Warn of variables of the compose files that have no value on a host; of those in the .env of
    the checkout, that it is not sent. `variables`: names that the release sets; `unset`: host →
    names without a value there; `lacking`: a host has no .env."""
    unsent = _unsent(tree, {*ctx.app_config, *variables}) if lacking else []
    if unsent:
        ctx.console.warning(
            "the .env of the checkout is not sent to the hosts, so these of its variables have no "
            f"value there: {_listed(unsent)}. Set them {_where(ctx)} (`APP_CONFIG_FILE=.env` sets "
            "all)."
        )
    missing = {host: tuple(e for e in names if e not in unsent) for host, names in unset.items()}
    for names in filter(None, dict.fromkeys(missing.values())):
        hosts = ", ".join(host for host, each in missing.items() if each == names)
        ctx.console.warning(
            f"{hosts}: no value for {_listed(names)}, so Compose uses an empty one. Set it "
            f"{_where(ctx)}; if it may be empty, write ${{{names[0]}:-}}; write $$ for a literal "
            "dollar sign."
        )


def _unsent(tree: Tree, known: Iterable[str]) -> list[str]:
    """Variables of a .env in the checkout that the compose files use; not those in `known`."""
    if not tree.has(".env"):
        return []
    made = tree.made(".env")
    data = made.read_bytes() if made else tree.content(".env")
    lines = data.decode(errors="replace").splitlines()
    text = b"\n".join((*tree.texts, *tree.reads.values())).decode(errors="replace")
    names = {line.partition("=")[0].removeprefix("export ").strip() for line in lines}
    used = {each[1] or each[3] for each in VARIABLE.finditer(text)}
    return sorted(names & used - set(known))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"${{{each}}}" for each in names)


def _where(ctx: Context) -> str:
    return f"in APP_CONFIG or {'REVIEW_CONFIG' if ctx.review else 'in the .env in DEPLOY_PATH'}"


def advice(reason: str, found: Description) -> str:
    """What to do about `reason`, for which Compose does not accept the files: a sentence, empty
    when unknown. `found`: what the host's answer says of variables without a value."""
    if found.required:
        return (
            f"Set {_listed(found.required)} in APP_CONFIG or in the .env in DEPLOY_PATH (which "
            "review apps do not use)."
        )
    if found.unset:
        return "Set the variables without a value (see above)."
    if "neither an image nor a build context" in reason:
        both = 'COMPOSE_FILE="docker-compose.yml docker-compose.production.yml"'
        return f"If the file only extends another one, name both in order, like {both}."
    if "env file" in reason and "/.env not found" in reason:
        how = "`APP_CONFIG_FILE=.env` uses that of the checkout, which is not sent"
        return f"Create it on the host, or set APP_CONFIG ({how})."
    if "env file" in reason and "not found" in reason:
        return "Commit it, let the job create it in the checkout, or create it on the host."
    return ""
