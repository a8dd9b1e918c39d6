"""How many cases the tests make, by what they are made of. Another number on docs/reliability.md
means that the row is from an older version of the tests.

Without those whose number is found out by the run: programs, packets, files, texts per second.
"""

from __future__ import annotations

from collections.abc import Mapping

from standins.dokku.sshd import KEY_TYPES
from tests.hostile import identity, starve, test_few, test_identity
from tests.hostile import test_faults as faults
from tests.hostile import test_foreign_files as foreign
from tests.hostile import test_kills as kills
from tests.hostile import test_machine as machine
from tests.hostile import test_many_at_once as many
from tests.hostile import test_secrets as secrets
from tests.hostile import test_sinks as sinks
from tests.hostile import test_starve as memory
from tests.hostile import test_tls as tls
from tests.hostile import test_workspace as workspace
from tests.hostile.clocks import ALL as JUMPS
from tests.hostile.engines import STEPS as HOST_STEPS
from tests.hostile.judge import READS
from tests.hostile.machines import ALL as MACHINES
from tests.hostile.proxy import Effect
from tests.hostile.tally import Kind
from tests.hostile.tls import Fault
from tests.hostile.values import SECRETS
from tests.hostile.worlds import COMMANDS, PROMOTION
from tests.hostile.worlds import FEW as CALLS
from tests.integration.test_dokku_many_at_once import WHOLE as TOGETHER
from tests.unit.test_redaction import SPELLINGS


def _of_dokku(command: str) -> int:
    """Steps of an ssh connection at which something goes wrong."""
    return 5 + CALLS + (4 if command in {"deploy", "review"} else 0)


def _every(count: int, step: int) -> int:
    """How many are left of so many when one in `step` is taken."""
    return -(-count // step)


def _on_hosts() -> tuple[int, int]:
    """Faults of an ssh connection: on a Docker host, on a swarm."""
    host = [each for each in COMMANDS if each not in faults.REVIEWS]
    swarm = [_every(HOST_STEPS, 1 if each in faults.WHOLE else 2) for each in COMMANDS]
    compose = [_every(HOST_STEPS, 2 if each in READS else 1) for each in host]
    few, few_of_swarm = len(faults.FEW_ON_HOSTS), len(faults.FEW_ON_SWARMS)
    return few + sum(compose), few_of_swarm + sum(swarm)


def _tls() -> int:
    bad, quick, doors = len(tls.FAULTS), len(tls.QUICK), len(tls.DOORS)
    late = 3 * len(tls.LATE)
    heroku = 1 + bad + late + (len(tls.OF_HEROKU) - 1) * (quick + late)
    return quick + 1 + doors * (1 + bad + quick) + (len(Fault) - 1) + heroku + quick


def _machines() -> int:
    firsts = range(len(machine.COMMANDS))
    others = sum(_every(len(MACHINES) - first, machine.EVERY) for first in firsts)
    return len(test_few.MACHINES) + len(MACHINES) + len(MACHINES) // 2 + others


def _memory() -> int:
    alone = [each for each in starve.PROGRAMS if "ssh" not in each]
    picked = 1 + sum(memory.EACH.values()) * len(starve.PROGRAMS) + 3 * len(alone)
    return picked + 2 * len(starve.SIZES) + _every(len(starve.SIZES), 2)


def _lacking() -> int:
    machines = sum(len(machine.on_hosts(command)) for command in machine.ON_HOSTS)
    return 2 * (machines + len(machine.SQUEEZED))


def _host_keys() -> int:
    certificates = len(identity.CERTIFIED) + 2 * len(identity.BAD_CERTIFICATES)
    forms = [identity.forms(kind, alone=each) for kind in KEY_TYPES for each in (True, False)]
    names = 5 * len((*test_identity.NAMES, *test_identity.SIX))
    few = len(test_identity.FEW)
    return few + sum(map(len, forms)) + len(KEY_TYPES) * certificates + names


def _keys() -> int:
    kinds, formats = test_identity.KEY_TYPES_OF_CLIENTS, test_identity.FORMATS
    pairs = [(kind, form) for kind in kinds for form in formats]
    pairs = [each for each in pairs if each[0] != "ed25519" or each[1] == "OpenSSH"]
    return 4 + 4 * sum(len(test_identity.forms_of(*pair)) for pair in pairs)


def _impostors() -> int:
    steps = [(command, _of_dokku(command)) for command in COMMANDS]
    steps += [(command, HOST_STEPS) for command in test_identity.ON_HOSTS]
    found = sum(1 + _every(count, test_identity.every(command)) for command, count in steps)
    swarm = 1 + _every(HOST_STEPS, 2)
    jump = len(test_identity.WHERE) * (len(test_identity.AT_A_JUMP) + 1)
    return 2 + found + swarm + jump


def _injections() -> int:
    """Files; git's settings and hooks, modules, programs, names, revisions."""
    files = len(foreign.PLATFORMS) * len(foreign.FEW) + len(foreign.CASES)
    names = len(workspace.BRANCHES) + len(workspace.APPS) + len(workspace.REVISIONS)
    settings = workspace.SETTINGS + len(workspace.HOOKS)
    return files + settings + len(workspace.MODULES) + len(workspace.PROGRAMS) + names


PLANNED: Mapping[Kind, int] = {
    Kind.SSH: len(test_few.FAULTS)
    + sum(faults.each_of(command) * _of_dokku(command) for command in COMMANDS),
    Kind.HTTP: len(faults.FEW_OF_HTTP) + 3 * CALLS * sum(map(faults.each_of, COMMANDS)),
    Kind.PROMOTIONS: 3 * PROMOTION,
    Kind.HOST: _on_hosts()[0],
    Kind.SWARM: _on_hosts()[1],
    Kind.RUNS: 1 + (5 + CALLS) * len(Effect),
    Kind.MACHINES: _machines(),
    Kind.CLOCKS: 5 + 2 * len(JUMPS) + sum(_every(len(JUMPS) - at % 2, 2) for at in range(5)),
    Kind.KILLS_DOKKU: sum(kills.COUNTS.values()),
    Kind.KILLS_HEROKU: sum(kills.COUNTS.values()),
    Kind.KILLS_HOST: sum(kills.ON_HOSTS.values()),
    Kind.KILLS_SWARM: sum(kills.ON_SWARMS.values()),
    Kind.LACKING: _lacking(),
    Kind.MEMORY: _memory(),
    Kind.MANY: sum(many.COUNTS) + many.PROJECTS,
    Kind.TOGETHER: TOGETHER,
    Kind.LOAD: 4,
    Kind.HUGE: 1 + 2 * 8 + 2,
    Kind.FORMS: len(SECRETS) * len(SPELLINGS) * (1 + 3 * secrets.ROUNDS),
    Kind.FOUND: sum(secrets.EXAMPLES),
    Kind.SINKS: (len(SECRETS) - 1) * len(SPELLINGS) * (len(sinks.FEW) + len(sinks.REST)),
    Kind.OUTPUTS: 30 + 5000,
    Kind.INJECTION: _injections(),
    Kind.TLS: _tls(),
    Kind.HOST_KEYS: _host_keys(),
    Kind.KEYS: _keys(),
    Kind.IMPOSTORS: _impostors(),
}
