"""The same disturbances for `ci-deploy deploy` and for what people write into CI files by hand.

Judged is what can be asked of any of them: whether success and failure were told rightly, what the
server is left with, and whether the next run reaches the wanted release.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.dokku import OFFICIAL

from standins.dockerhosts import PASSWORD, USER
from standins.support import Run
from tests.hostile.engines import Compose, Swarm
from tests.hostile.kills import INT, KILL, TERM, Kill
from tests.hostile.machines import Place
from tests.hostile.proxy import Effect
from tests.hostile.worlds import Dokku, Trial, World

EACH = 20  # faults of connections, and as many kills
DEADLINE = "15"  # DEPLOY_TIMEOUT, where there is one; afterwards 30 s for questions and restores
LIMIT = 50.0  # seconds, until a job that still runs is ended from outside
SETTLED = 60.0  # seconds for what goes on at the server
SILENCE = 0.5  # seconds between two looks
KILLS = (Kill((TERM,)), Kill((KILL,)), Kill((INT,)), Kill((TERM, KILL)))  # to all at once
# What the job of an article does: the file, the login, then one command over ssh.
BY_HAND = """
options="-i $KEY -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=$HOSTS"
ssh() { command ssh -p "$PORT" $options "$WHERE" "$@"; }
scp -q -P "$PORT" $options docker-compose.production.yml "$WHERE:$DIR/by-hand.yml"
printf %s "$PASS" | ssh docker login -u "$LOGIN" --password-stdin "$REGISTRY"
"""
COMPOSE = f"""{BY_HAND}
compose="docker compose -p $APP -f by-hand.yml"
ssh "cd $DIR && export DEPLOY_TAG=$TAG && $compose pull -q && \\
  $compose up -d --wait --remove-orphans"
"""
STACK = f"""{BY_HAND}
ssh "cd $DIR && export DEPLOY_TAG=$TAG && docker stack deploy --with-registry-auth --prune \\
  --detach=false -c by-hand.yml $APP"
"""


class Judged(World, Protocol):
    """A world that tells what runs in it, whoever has deployed that."""

    def runs(self) -> str:
        """The release of which everything runs; empty for none, or more than that."""

    @property
    def release(self) -> str:
        """That of the checkout's head, in the same words."""


class Scripted(Trial):
    """A script in place of our command."""

    def __init__(self, world: World, script: str, environ: Callable[[], dict[str, str]]) -> None:
        self.script, self.environ = script, environ
        super().__init__(world, "deploy")

    def start(self, *_: str, through: Sequence[str] = (), **more: str) -> Run:
        words = ("-euo", "pipefail", "-c", self.script)
        env = {**self.environ(), **more}
        return Run("/bin/bash", *words, cwd=self.world.checkout.path, env=env, through=through)


def official(world: Dokku, folder: Path) -> Scripted:
    """The steps of Dokku's own image."""
    home = folder / "by-hand"
    home.mkdir()
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(home), "PORT": str(world.proxy.port),
        "WHERE": f"{world.server.user}@127.0.0.1", "KEY": str(world.server.private_key_path),
        "APP": "hello",
    }  # fmt: skip
    return Scripted(world, OFFICIAL, lambda: environ)


def by_hand(world: Compose | Swarm, folder: Path) -> Scripted:
    """One command over ssh: `docker compose up --wait`, or `docker stack deploy`."""
    key, hosts = folder / "key", folder / "hosts"
    key.touch(0o600)
    key.write_text(world.host.key)
    hosts.write_text(world.where["SSH_SERVER_HOSTKEYS"] + "\n")
    app, place = world.app, world.app.folder if isinstance(world, Compose) else "."

    def environ() -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(folder), "PORT": str(world.proxy.port),
            "WHERE": "deploy@127.0.0.1", "KEY": str(key), "HOSTS": str(hosts), "DIR": place,
            "APP": app.name, "TAG": world.release, "LOGIN": USER, "PASS": PASSWORD,
            "REGISTRY": app.registry.address,
        }  # fmt: skip

    return Scripted(world, COMPOSE if isinstance(world, Compose) else STACK, environ)


class Blow(NamedTuple):
    """One disturbance: a fault at a step, or a kill so many seconds after the start."""

    step: str = ""
    effect: Effect = Effect.CUT
    lasting: bool = False
    kill: Kill | None = None
    after: float = 0.0

    def __str__(self) -> str:
        if self.kill:
            return f"{self.kill} after {self.after:.1f} s"
        return f"{self.effect.value} at {self.step}{' and then for good' * self.lasting}"


def blows(trial: Trial) -> list[Blow]:
    """Of a fixed seed: each step, effect and signal comes as often for everybody."""
    choose = random.Random("20261130 peers")
    names = [each for each in trial.names() if not each.startswith("answer ")]
    kinds = [(effect, lasting) for lasting in (False, True) for effect in Effect]
    choose.shuffle(kinds)
    faults = [Blow(names[at % len(names)], *kinds[at % len(kinds)]) for at in range(EACH)]
    moments = [choose.uniform(0.05, 1.05) * trial.took for _ in range(EACH)]
    kills = [Blow(kill=KILLS[at % len(KILLS)], after=when) for at, when in enumerate(moments)]
    return [*faults, *kills]


def strike(trial: Trial, world: Judged, blow: Blow) -> tuple[Counter[str], str]:
    """What was wrong, as columns of the page, and all of it in words."""
    before, wanted = world.runs(), world.release
    with Place.make() as place:
        code, hung, said = _struck(trial, blow, place)
    world.proxy.disarm()
    _settle(world)
    now = world.runs()
    found = _told(code, hung, blow, reached=now == wanted)
    if now not in {before, wanted}:
        found["between"] += 1
    healed = trial.run("deploy")
    _settle(world)
    if healed.code or world.runs() != wanted:
        found["unhealed"] += 1
        said += f"\nthe next run: {healed.code}\n{healed.output}{healed.errors}"
    facts = f"{blow}: {code}, runs {now!r}, before {before!r}, wanted {wanted!r}: {dict(found)}"
    return found, f"{facts}\n{said}" if found else facts


def _told(code: int, hung: bool, blow: Blow, *, reached: bool) -> Counter[str]:
    """Whether it has said what is true; one that was killed has said nothing."""
    found = Counter[str]()
    if hung:
        found["hung"] += 1
    elif code in {0, 22} and not reached:
        found["green"] += 1
    elif code == 21:
        found["unknown"] += 1
    elif code not in {0, 22} and reached and not blow.kill:
        found["red"] += 1
    return found


def _struck(trial: Trial, blow: Blow, place: Place) -> tuple[int, bool, str]:
    """Its exit code, whether it had to be ended from outside, and its words."""
    proxy = trial.world.proxy
    if not blow.kill:
        steps = trial.world.steps("deploy", trial.count)
        proxy.arm(steps[blow.step], blow.effect, lasting=blow.lasting, seed=1)
    more = {"TMPDIR": str(place.tmp), "DEPLOY_TIMEOUT": DEADLINE}
    if isinstance(trial, Scripted):
        more["HOME"] = str(place.tmp)
    run, hung = trial.start("deploy", **more), False
    try:
        run.process.wait(blow.after if blow.kill else LIMIT)
    except subprocess.TimeoutExpired:
        hung = not blow.kill
        for signum in blow.kill.signals if blow.kill else (signal.SIGKILL,):
            _signal(place, signum)
            time.sleep(0.1)
        if not hung:
            _end(run, place)
    _signal(place, signal.SIGKILL)  # as the job's container ends
    done = run.done()
    return done.code, hung, done.output + done.errors


def _end(run: Run, place: Place) -> None:
    """Wait for one that was killed."""
    try:
        run.process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        _signal(place, signal.SIGKILL)


def _signal(place: Place, signum: signal.Signals) -> None:
    for pid in place.pids():
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue


def _settle(world: World) -> None:
    """Until what was begun there has ended, twice in a row."""
    until, quiet = time.monotonic() + SETTLED, 0
    while quiet < 2 and time.monotonic() < until:
        quiet = 0 if world.busy() else quiet + 1
        time.sleep(SILENCE)
