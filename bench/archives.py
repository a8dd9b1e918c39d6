"""One changed layer of an image of 500 MB to a Docker host without a registry, against
`docker load` of the whole archive over ssh.

    python -m bench.archives
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.compose import Bench
from bench.delay_proxy import DelayProxy
from standins.compose.app import App
from standins.compose.archived import COMPOSE, build, given, image_of
from standins.dockerhosts import fleet

SIZE = 500_000_000  # bytes of the layer that does not change
CHANGED = 1_000_000  # … and of the one that does


def measure(times: int, size: int = SIZE) -> dict[str, float]:
    """Medians in seconds, by name; and how many MB the whole archive has."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "fleet").mkdir()
        with (
            fleet(folder / "fleet", 1) as (hosts, registry),
            DelayProxy(hosts[0].address, 22, round_trip=0.0) as proxy,
        ):
            app = App(hosts, registry, folder)
            app.write(COMPOSE.format(image=image_of(app)))
            bench = Bench(app, proxy.port, folder)
            found = build(app, folder, ["v0", "v1", "v2"], own=CHANGED, big=size)
            bench.time("first deploy", lambda: bench.ours("deploy", tag="v0", **given(found["v0"])))
            for turn in range(times):
                tag = f"v{turn % 2 + 1}"
                hosts[0].root("sh", "-c", f"docker rmi $(docker images -q {image_of(app)}) || true")
                options = ["-F", "/dev/null", "-i", str(folder / "fleet/key")]
                options += ["-p", str(proxy.port), "-o", f"UserKnownHostsFile={folder}/known_hosts"]
                with found[tag].open("rb") as archive:
                    argv = ["ssh", *options, "deploy@127.0.0.1", "docker load -q"]
                    started = time.perf_counter()
                    subprocess.run(argv, stdin=archive, check=True, capture_output=True)
                    bench.seconds.setdefault("ssh docker load", []).append(
                        time.perf_counter() - started
                    )
                hosts[0].root("docker", "rmi", f"{image_of(app)}:{tag}")
                more = given(found[tag])
                bench.time("whole deploy", lambda: bench.ours("deploy", tag=tag, **more))  # noqa: B023
            medians = {name: statistics.median(each) for name, each in bench.seconds.items()}
            return {**medians, "MB of the archive": found["v1"].stat().st_size / 1e6}


def main() -> None:
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3).items():
        print(f"{name:<22}{value:8.2f}")


if __name__ == "__main__":
    main()
