"""Strict stand-ins for what a release calls and what cannot be there in a test: run as
`programs.py docker …`, `cosign …` or `gh …`, with nothing but the standard library.

They know the calls of a release and no other one, and note each in a log. Registries are real:
`docker buildx imagetools` is the real one, and a build really builds and pushes. Only what
the engine of a test machine lacks is done here: BuildKit's attestations, and its pushes by digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

STATE = Path(os.environ["STANDIN_STATE"])
FACTS: dict[str, Any] = json.loads((STATE / "facts.json").read_text())
JOB: dict[str, Any] = json.loads(os.environ.get("STANDIN_JOB", "{}"))
ROOT = Path(__file__).parents[2]
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
REFERENCE = re.compile(r"localhost:\d+/[\w./-]+@sha256:[0-9a-f]{64}")
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image"
PREDICATES = {"sbom": "https://spdx.dev/Document", "provenance": "https://slsa.dev/provenance/v1"}


def fail(message: str) -> NoReturn:
    sys.stderr.write(f"stand-in: {message}: {sys.argv[1:]}\n")
    sys.exit(97)


def need(permission: str, level: str = "write") -> None:
    granted = JOB.get("permissions", {}).get(permission, "none")
    if granted != level and granted != "write":
        fail(f"the job may not do this, it has {permission}: {granted}")


def note(**call: Any) -> None:
    with (STATE / "calls.jsonl").open("a") as file:
        file.write(json.dumps({"job": JOB.get("name"), **call}) + "\n")


def done(file: str) -> list[Any]:
    path = STATE / file
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- docker ---


def docker(*argv: str) -> None:
    match argv:
        case ["login", host, "--username", user, "--password-stdin"]:
            if [user, sys.stdin.read()] != FACTS["logins"][host]:
                fail("wrong user or token")
            need("packages", "read")
            note(login=host)
        case ["buildx", "create", *rest]:
            pin = FACTS["pins"]["buildkit"]
            if rest != ["--name", "ci-deploy-release", "--driver", "docker-container",
                        "--driver-opt", f"image={pin}"]:  # fmt: skip
                fail("unknown builder")
            note(builder=pin)
        case ["buildx", "build", *rest, "."]:
            build(rest)
        case ["buildx", "imagetools", "create", "--tag", tag, *sources]:
            need("packages")
            for each in (tag, *sources):
                logged_in(each)
            if not all(REFERENCE.fullmatch(each) for each in sources):
                fail("a source without a digest")
            note(create=tag, sources=sources)
            real(*argv)
        case ["buildx", "imagetools", "inspect", *options, reference]:
            if options not in (["--format", "{{json .Manifest}}"], ["--raw"]):
                fail("unknown options")
            if reference.startswith("localhost:"):
                real(*argv)
            elif reference in FACTS["known"]:
                print(json.dumps({"digest": FACTS["known"][reference]}))
            else:
                fail("no such image")
        case ["run", "--rm", reference, "ci-deploy", "version"]:
            if not REFERENCE.fullmatch(reference):
                fail("not by digest")
            small = reference in {each["small"] for each in done("small.jsonl")}
            print("ci-deploy", FACTS["version"]) if small else real(*argv)
        case _:
            fail("unknown call")


def logged_in(reference: str) -> None:
    host = reference.partition("/")[0]
    if {"job": JOB.get("name"), "login": host} not in done("calls.jsonl"):
        fail(f"this job is not logged in to {host}")


def real(*argv: str) -> None:
    done = subprocess.run([FACTS["docker"], *argv], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def build(rest: list[str]) -> None:
    """What `docker buildx build` pushes: an index with the image and its attestations."""
    options: dict[str, str] = {}
    arguments: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        name, equals, value = word.partition("=")
        value = value if equals else next(words)
        key, _, kind = name, "", value.partition(",")[0]
        if name == "--build-arg":
            argument, _, text = value.partition("=")
            arguments[argument] = text
            continue
        options[f"{key} {kind}" if key == "--attest" else key] = value
    allowed = {"--builder", "--platform", "--target", "--attest type=provenance",
               "--attest type=sbom", "--output", "--metadata-file"}  # fmt: skip
    if options.keys() != allowed or options["--builder"] != "ci-deploy-release":
        fail("unknown options")
    pushed = re.fullmatch(
        r"type=image,name=(localhost:\d+/\S+),push=true,push-by-digest=true,"
        r"name-canonical=true,rewrite-timestamp=true",
        options["--output"],
    )
    if not pushed:
        fail("not pushed by digest")
    need("packages")
    name, metadata = pushed[1], options.pop("--metadata-file")
    logged_in(name)
    note(build=options, arguments=arguments)

    target, architecture = options["--target"], options["--platform"].partition("/")[2]
    tag = f"{name}:{architecture}"
    labels = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    if target == "dokku" and architecture == NATIVE:
        # The one that is really built; the base is this machine's, for there is no registry.
        labels.append("--build-arg=BASE_IMAGE=debian:trixie-slim")
        where: list[str] = ["--target", target, *labels, "."]
    else:
        small = STATE / "small"
        small.mkdir(exist_ok=True)
        (small / "Dockerfile").write_text(f"FROM scratch\nLABEL target={target}\nCOPY . /\n")
        where = ["--platform", options["--platform"], str(small)]
    builder = [str(ROOT / "tests/machine/docker-build.sh"), "-q", "-t", tag, *where]
    plain = {key: value for key, value in os.environ.items() if key != "DOCKER_CONFIG"}
    subprocess.run(builder, check=True, stdout=sys.stderr, env=plain)
    said = subprocess.run(
        [FACTS["docker"], "push", tag], check=True, capture_output=True, text=True
    ).stdout
    image = re.findall(r"digest: (sha256:\w+) size: (\d+)", said)[-1]
    digest = attest(name, architecture, *image)
    if where[-1] != ".":
        with (STATE / "small.jsonl").open("a") as file:
            file.write(json.dumps({"small": f"{name}@{digest}"}) + "\n")
    Path(metadata).write_text(json.dumps({"containerimage.digest": digest}))


def attest(name: str, architecture: str, image: str, size: str) -> str:
    host, _, repository = name.partition("/")
    url = f"http://{host}/v2/{repository}"
    layers = []
    for each in FACTS["attested"]:
        blob = upload(url, json.dumps({"subject": image, "what": each}).encode())
        kind = {"in-toto.io/predicate-type": PREDICATES[each]}
        layers.append({"mediaType": "application/vnd.in-toto+json", **blob, "annotations": kind})
    config = {"mediaType": f"{OCI}.config.v1+json", **upload(url, b"{}")}
    attestation = {"schemaVersion": 2, "config": config, "layers": layers}
    here = {"architecture": architecture, "os": "linux"}
    manifests: list[dict[str, Any]] = [
        {"mediaType": DOCKER_MANIFEST, "digest": image, "size": int(size), "platform": here},
        {
            **put(url, f"{OCI}.manifest.v1+json", attestation),
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": image,
            },
        },
    ]
    index = {"schemaVersion": 2, "manifests": manifests}
    return str(put(url, f"{OCI}.index.v1+json", index)["digest"])


def upload(url: str, blob: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    with ask("POST", f"{url}/blobs/uploads/") as answer:
        where = answer.headers["Location"]
    joined = f"{where}{'&' if '?' in where else '?'}digest={digest}"
    ask("PUT", joined, blob, "application/octet-stream").close()
    return {"digest": digest, "size": len(blob)}


def put(url: str, kind: str, manifest: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"mediaType": kind, **manifest}).encode()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    ask("PUT", f"{url}/manifests/{digest}", body, kind).close()
    return {"mediaType": kind, "digest": digest, "size": len(body)}


def ask(method: str, url: str, body: bytes | None = None, kind: str = "") -> Any:
    headers = {"Content-Type": kind} if kind else {}
    return urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method))


# --- cosign and gh ---


def cosign(*argv: str) -> None:
    identity = f"{FACTS['repository']}/.github/workflows/release.yml@refs/heads/main"
    match argv:
        case ["sign", "--yes", *references]:
            need("id-token")
            for each in references:
                if not REFERENCE.fullmatch(each):
                    fail("not by digest")
                logged_in(each)
                with (STATE / "signatures.jsonl").open("a") as file:
                    file.write(json.dumps([identity, each]) + "\n")
            note(sign=references)
        case ["verify", "--certificate-identity", whose, "--certificate-oidc-issuer", issuer, each]:
            if issuer != "https://token.actions.githubusercontent.com":
                fail("who says so?")
            if [whose, each] not in done("signatures.jsonl"):
                fail("no signature")
        case _:
            fail("unknown call")


def gh(*argv: str) -> None:
    if os.environ.get("GH_TOKEN") != FACTS["github_token"]:
        fail("wrong token")
    repository, releases = FACTS["repository"], done("releases.jsonl")
    match argv:
        case ["release", "list", "--repo", where, "--json", "tagName"] if where == repository:
            print(json.dumps(releases))
        case ["release", "create", tag, "--repo", where, "--verify-tag", "--title", title,
              "--notes-file", "-"] if where == repository:  # fmt: skip
            need("contents")
            listed = ["git", "ls-remote", "--exit-code", repository, f"refs/tags/{tag}"]
            subprocess.run(listed, check=True, stdout=subprocess.DEVNULL)
            with (STATE / "releases.jsonl").open("a") as file:
                file.write(json.dumps({"tagName": tag}) + "\n")
            note(release=tag, title=title, notes=sys.stdin.read())
        case _:
            fail("unknown call")


if __name__ == "__main__":
    {"docker": docker, "cosign": cosign, "gh": gh}[sys.argv[1]](*sys.argv[2:])
