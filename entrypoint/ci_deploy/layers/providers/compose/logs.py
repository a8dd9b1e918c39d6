"""The logs of the app's containers on each host."""

from __future__ import annotations

from ci_deploy.errors import DeployFailed, NoService
from ci_deploy.layers.providers.compose.hosts import Hosts
from ci_deploy.layers.providers.docker.held import open_until_we_end
from ci_deploy.run.context import Context


def show(ctx: Context, hosts: Hosts, service: str, *, lines: int, follow: bool) -> None:
    """Show the last `lines` lines of each container of `service` (empty: of all), and with `follow`
    new ones until the job ends. Raises NoService, DeployFailed when Compose fails on a host,
    Unreachable."""
    known = {image.service for image in hosts.first.facts.images}
    if service and known and service not in known:
        raise NoService(ctx.app, service, known)
    words = ["logs", ctx.app, str(lines), "follow" if follow else "-", service]
    with open_until_we_end(ctx.private_dir / "held") as held:
        stdin = held if follow else b""
        every = float("inf")
        results = hosts.change(
            hosts.all, words, lambda _host: "", stdin, timeout=every, quiet=False
        )
    for host, result in zip(hosts.all, results, strict=True):
        if result.exit_code:
            message = f"{host} cannot show the log of {ctx.app} (exit code {result.exit_code})."
            raise DeployFailed(message, lines=result.lines, shown=True)
