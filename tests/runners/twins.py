"""What the tests on the twins share: our image as a step, and the app that it deploys."""

from __future__ import annotations

from pathlib import Path

from standins.support import Checkout
from tests.containers import Container
from tests.runners.github_runner import GitHubRunner


def github_runner(image: str, server: Container, app: Checkout, tmp_path: Path) -> GitHubRunner:
    return GitHubRunner(image, server.network, app.path, tmp_path / "runner")


def inputs_for(server: Container, **more: str) -> dict[str, str]:
    settings = server.settings(**more)
    return {name.lower().replace("_", "-"): value for name, value in settings.items()}


def quick(app: Checkout, release: str = "") -> None:
    """An app that is deployed in a moment, or has a slow release task."""
    line = f"release: {release}\n" if release else ""
    app.commit("Quick", {"Procfile": f"{line}worker: sleep 600\n"})
