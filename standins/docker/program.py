"""A stand-in for `docker`, for tests of the program that runs on Docker hosts (host/*.sh).

It knows exactly the calls that this program makes, and writes any other into `unknown`, which
fails the test. Its state is one JSON file beside it: images, containers, what a registry has,
faults. What a container does is decided by its image: one of BEHAVIOURS. Compose files are JSON in
the form that `docker compose config --format json` prints.

It proves what our program does with an answer, not that Docker gives it: for that the other tests
in tests/compose have a real engine.

It is started some thousand times, so that it imports no more than it needs (no pathlib, no typing).
"""

from __future__ import annotations

import fcntl
import fnmatch
import json
import os
import re
import sys
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

HERE = os.path.dirname(__file__)
BEHAVIOURS = {  # status, exit code, health
    "healthy": ("running", 0, "healthy"),
    "unhealthy": ("running", 0, "unhealthy"),
    "starting": ("running", 0, "starting"),
    "runs": ("running", 0, "none"),
    "done": ("exited", 0, "none"),
    "fails": ("exited", 3, "none"),
}
LABEL = "label=com.docker.compose."


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


@contextmanager
def state(*, change: bool = True) -> Iterator[dict[str, Any]]:
    """The engine's memory; one process at a time."""
    with open(f"{HERE}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        data = json.loads(read(f"{HERE}/state.json"))
        try:
            yield data
        finally:
            if change:
                with open(f"{HERE}/state.new", "w") as file:
                    file.write(json.dumps(data))
                os.replace(f"{HERE}/state.new", f"{HERE}/state.json")


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")


def fail(text: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"{text}\n")
    sys.exit(code)


def unknown(*words: str) -> NoReturn:
    with open(f"{HERE}/unknown", "a") as file:
        file.write(" ".join(words) + "\n")
    fail(f"the stand-in does not know this: {' '.join(words)}", 99)


def faults(line: str) -> None:
    """What a test wants of a call: to fail, perhaps only some times with others after it, or to
    wait."""
    with state() as data:
        data["calls"].append(line)
        hit = next((each for each in data["faults"] if fnmatch.fnmatch(line, each["match"])), None)
        if hit and hit.get("times"):
            hit["times"] -= 1
            if not hit["times"]:
                data["faults"] = [*hit.get("then", []), *(f for f in data["faults"] if f != hit)]
    if hit and "hold" in hit:
        open(f"{hit['hold']}.held", "w").close()
        while os.path.exists(hit["hold"]):
            time.sleep(0.02)
    elif hit:
        fail(hit.get("says", "a fault"))


def image_of(images: dict[str, Any], name: str) -> dict[str, Any] | None:
    """By its name, its name and digest, or its id."""
    for known, image in images.items():
        if name in {known, image["id"], f"{known}@{image['digest']}"}:
            return dict(image)
    return None


def container(data: dict[str, Any], name: str) -> dict[str, Any]:
    for known, each in data["containers"].items():
        if name in {known, each["id"]}:
            return dict(each, name=known)
    fail(f"No such container: {name}")


def options(words: list[str], *with_value: str) -> tuple[dict[str, list[str]], list[str]]:
    """Options in front, and the rest. Those without value are `options[""]`."""
    found: dict[str, list[str]] = {"": []}
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in with_value:
            found.setdefault(word, []).append(words.pop(0))
        else:
            found[""].append(word)
    return found, words


# --- questions ---


def ps(words: list[str]) -> None:
    given, rest = options(words, "--filter", "--format")
    if rest or set(given[""]) - {"-a", "--no-trunc"}:
        unknown("ps", *given[""], *rest)
    with state(change=False) as data:
        everything = data["containers"]
    for name, each in everything.items():
        if ("-a" in given[""] or each["status"] == "running") and all(
            fits(name, each, one) for one in given.get("--filter", [])
        ):
            say(row(given["--format"][0], name, each))


def fits(name: str, each: dict[str, Any], one: str) -> bool:
    key, _, value = one.removeprefix(LABEL).partition("=")
    if one == f"{LABEL}project":
        return True
    if key in {"project", "service", "status"}:
        return bool(each[key] == value)
    if key == "oneoff":
        return str(each["oneoff"]) == value
    if key == "name":
        return re.search(value, name) is not None
    unknown("ps --filter", one)


def row(form: str, name: str, each: dict[str, Any]) -> str:
    known = {
        "{{.ID}}": each["id"],
        "{{.Names}}": name,
        "{{.State}}": each["status"],
        "{{.Status}}": "Up" if each["status"] == "running" else f"Exited ({each['code']})",
        '{{.Label "com.docker.compose.service"}}': each["service"],
        '{{.Label "com.docker.compose.image"}}': each["image"],
        '{{.Label "com.docker.compose.oneoff"}}': str(each["oneoff"]),
        '{{.Label "com.docker.compose.project"}}': each["project"],
        '{{.Label "com.docker.compose.project.working_dir"}}': each["folder"],
        '{{.Label "com.docker.compose.project.config_files"}}': each["files"],
        '{{.Label "ci-deploy.review"}}': "",
    }
    parts = re.split(r"(\{\{.*?\}\})", form)
    return "".join(known[part] if part.startswith("{{") else part for part in parts)


def inspect(words: list[str]) -> None:
    given, names = options(words, "-f")
    [form] = given.get("-f", [""])
    with state(change=False) as data:
        found = [container(data, name) for name in names]
    for each in found:
        if form == "{{.State.Status}}":
            say(each["status"])
        elif form.startswith("{{.Name}}|"):
            health = BEHAVIOURS[each["behaves"]][2]
            fields = [
                f"/{each['name']}", each["service"], each["image"], each["status"], each["code"],
                each.get("restarts", 0), "2026-01-01T00:00:00Z", health, each["policy"], 0, "null",
            ]  # fmt: skip
            say("|".join(map(str, fields)))
        elif form == "{{.Id}}|{{.Image}}":
            say(f"{each['id']}|{each['image']}")
        elif form and not form.startswith("{{if .State.Health}}"):
            unknown("inspect", form)


def image(words: list[str]) -> None:
    if words.pop(0) != "inspect":
        unknown("image", *words)
    given, [name] = options(words, "-f")
    with state(change=False) as data:
        found = image_of(data["images"], name)
    if not found:
        fail(f"No such image: {name}")
    if given.get("-f", [""])[0].startswith("{{.Id}}"):
        repository = found["name"].rpartition(":")[0]
        say(found["id"], *([f"{repository}@{found['digest']}"] if found["digest"] else []))


def images(words: list[str]) -> None:
    if words != ["-q", "--no-trunc"]:
        unknown("images", *words)
    with state(change=False) as data:
        for each in data["images"].values():
            say(each["id"])


# --- changes ---


def pull(words: list[str]) -> None:
    [quiet, name] = words
    assert quiet == "-q", words
    with state() as data:
        data["pulls"][name] = os.environ.get("DOCKER_CONFIG", "")
        found = image_of(data["registry"], name)
        if not found:
            fail(f"manifest for {name} not found")
        here = data["images"]
        if (old := here.get(found["name"])) and old["id"] != found["id"]:
            here[f"{old['name']}@{old['digest']}"] = old  # it has lost its tag
        here[found["name"]] = found


def login(words: list[str]) -> None:
    folder = os.environ["DOCKER_CONFIG"]
    with state() as data:
        config = f"{folder}/config.json"
        known = json.loads(read(config)) if os.path.exists(config) else {}
        contexts = os.path.isdir(f"{folder}/contexts")
        context = known.get("currentContext", "")
        data["logins"].append([words[-1], context, contexts, sys.stdin.read()])


def rm(words: list[str]) -> None:
    given, names = options(words)
    with state() as data:
        for name in names:
            each = container(data, name)
            if each["status"] == "running" and "-f" not in given[""]:
                fail("You cannot remove a running container")
            del data["containers"][each["name"]]


def rmi(words: list[str]) -> None:
    [name] = words
    with state() as data:
        found = image_of(data["images"], name)
        if not found or any(e["image"] == found["id"] for e in data["containers"].values()):
            fail("it is not there, or in use")
        del data["images"][found["name"]]


def wait(words: list[str]) -> None:
    with state(change=False) as data:
        say(str(container(data, words[0])["code"]))


# --- Compose ---


def compose(words: list[str]) -> None:
    given, words = options(
        words, "--ansi", "--project-directory", "-f", "--env-file", "-p", "--profile"
    )
    what = words.pop(0)
    if what == "version":
        return say("2.26.1")
    env = "".join(read(name) for name in given.get("--env-file", []))
    tag = re.findall(r'^DEPLOY_TAG="(.*)"$', env, re.M)
    services: dict[str, Any] = {}
    for name in given["-f"]:
        text = read(name)
        text = text.replace("${DEPLOY_TAG}", tag[-1]) if tag else text
        for service, entry in json.loads(text)["services"].items():
            services.setdefault(service, {}).update(entry)
    if "*" not in given.get("--profile", []):
        services = {k: v for k, v in services.items() if not (what != "run" and v.get("profiles"))}
    project = given.get("-p", ["deploy"])[0]
    if what == "config":
        return say(json.dumps({"name": project, "services": services}, indent=2))
    with state() as data:
        engine = Engine(data, project, given["--project-directory"][0], env, given["-f"])
        if what == "up":
            flags, chosen = options(words)
            if set(flags[""]) - {"-d", "--no-build", "--no-recreate"}:
                unknown("compose up", *flags[""])
            for service, entry in services.items():
                if not chosen or service in chosen:
                    engine.up(service, entry, keep="--no-recreate" in flags[""])
        elif what == "stop":
            engine.stop(words)
        elif what == "run":
            flags, [service, *_] = options(words, "--name", "-e")
            engine.start(flags["--name"][0], service, services[service], oneoff=True)
        else:
            unknown("compose", what, *words)
    return None


class Engine:
    """What Compose does to containers."""

    def __init__(
        self, data: dict[str, Any], project: str, folder: str, env: str, files: list[str]
    ) -> None:
        self.data, self.project, self.folder, self.env = data, project, folder, env
        self.files = ",".join(files)

    def up(self, service: str, entry: dict[str, Any], *, keep: bool) -> None:
        for number in range(1, entry.get("scale", 1) + 1):
            name = f"{self.project}-{service}-{number}"
            there = self.data["containers"].get(name)
            if there and (keep or there["hash"] == self._hash(entry)):
                if there["status"] != "running":
                    there["status"], there["code"], _ = BEHAVIOURS[there["behaves"]]
                continue
            self.start(name, service, entry)

    def _hash(self, entry: dict[str, Any]) -> str:
        env = self.env if entry.get("env_file") else ""
        import hashlib  # takes long to import, and is seldom needed

        return hashlib.sha256(f"{entry['image']} {env}".encode()).hexdigest()

    def start(
        self, name: str, service: str, entry: dict[str, Any], *, oneoff: bool = False
    ) -> None:
        found = image_of(self.data["images"], entry["image"])
        if not found:
            fail(f"No such image: {entry['image']}")
        status, code, _ = BEHAVIOURS["done" if oneoff else found["behaves"]]
        self.data["number"] += 1
        self.data["containers"][name] = {
            "id": f"{self.data['number']:064x}", "service": service, "image": found["id"],
            "behaves": found["behaves"], "status": status, "code": code, "oneoff": oneoff,
            "policy": entry.get("restart", "no"), "project": self.project, "folder": self.folder,
            "hash": self._hash(entry), "files": self.files,
        }  # fmt: skip
        say(f"Container {name} Started")

    def stop(self, services: list[str]) -> None:
        for each in self.data["containers"].values():
            if each["project"] == self.project and (not services or each["service"] in services):
                each["status"] = "exited"


def stop(words: list[str]) -> None:
    with state() as data:
        for name in words:
            each = data["containers"][container(data, name)["name"]]
            each["status"] = "exited"


def quiet(_words: list[str]) -> None:
    """Nothing to say."""


KNOWN = {
    "ps": ps, "inspect": inspect, "image": image, "images": images, "pull": pull, "login": login,
    "rm": rm, "rmi": rmi, "wait": wait, "compose": compose, "stop": stop, "info": quiet,
    "events": quiet, "logs": quiet,
}  # fmt: skip


def main() -> None:
    command, *arguments = sys.argv[1:]
    faults(" ".join(sys.argv[1:]))
    if command not in KNOWN:
        unknown(*sys.argv[1:])
    KNOWN[command](arguments)
