"""The images: built once for each platform, joined under one digest, copied, signed, verified.

Nothing here trusts a tag: what was pushed is known by the digest that the build reports.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from release import git
from release.project import DIGEST, PLATFORMS, TARGETS, Project, Refused, run, variable

BUILDER = "ci-deploy-release"
# What every platform's image carries, as an attestation that BuildKit has made.
ATTESTED = {"https://spdx.dev/Document": "SBOM", "https://slsa.dev/provenance/": "provenance"}
ISSUER = "https://token.actions.githubusercontent.com"


def build(project: Project, platform: str) -> dict[str, str]:
    """Build all targets for one platform, on a machine of that platform, and push them without a
    tag: target → digest."""
    if platform not in PLATFORMS:
        raise Refused(f"'{platform}' is none of {', '.join(PLATFORMS)}")
    login(project, project.images)
    image = f"image={project.pins['buildkit']}"
    create = ("--name", BUILDER, "--driver", "docker-container", "--driver-opt", image)
    run(project, "docker", "buildx", "create", *create)
    return {target: _build(project, platform, target) for target in TARGETS}


def _build(project: Project, platform: str, target: str) -> str:
    name = f"{project.images}/{target}"
    created = git.commit_date(project)
    arguments = {
        "BASE_IMAGE": project.pins["base"],
        "SOURCE_URL": project.repository,
        "VERSION": project.version,
        "REVISION": git.head(project),
        "CREATED": created.isoformat(),
        "SOURCE_DATE_EPOCH": str(int(created.timestamp())),
    }
    pushed = "push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true"
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder, "metadata.json")
        run(
            project,
            *("docker", "buildx", "build", "--builder", BUILDER),
            *("--platform", platform, "--target", target),
            *(f"--build-arg={key}={value}" for key, value in arguments.items()),
            "--attest=type=provenance,mode=max",
            f"--attest=type=sbom,generator={project.pins['sbom']}",
            f"--output=type=image,name={name},{pushed}",
            f"--metadata-file={metadata}",
            ".",
        )
        digest = str(json.loads(metadata.read_text(encoding="utf-8"))["containerimage.digest"])
    # It runs on the platform that it is for, before anybody hears of it.
    said = run(project, "docker", "run", "--rm", f"{name}@{digest}", "ci-deploy", "version")
    if project.version not in said:
        raise Refused(f"{name}@{digest} says that it is: {said}")
    return digest


def publish(project: Project, builds: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Join the platforms, copy the result, sign both and check what is there: target → digest."""
    for registry in project.registries:
        login(project, registry)
    digests = {}
    for target in TARGETS:
        first, second = (f"{registry}/{target}" for registry in project.registries)
        _create(project, first, *(f"{first}@{built[target]}" for built in builds))
        digests[target] = digest(project, f"{first}:{project.version}")
        _create(project, second, f"{first}@{digests[target]}")
        signed = [f"{name}@{digests[target]}" for name in (first, second)]
        run(project, "cosign", "sign", "--yes", *signed)
    verify(project, digests)
    return digests


def _create(project: Project, name: str, *sources: str) -> None:
    # With one source this is a copy, byte by byte and with everything that it refers to.
    tag = f"{name}:{project.version}"
    run(project, "docker", "buildx", "imagetools", "create", "--tag", tag, *sources)


def verify(project: Project, digests: Mapping[str, str]) -> None:
    """In both registries the version is this digest, for all platforms, attested and signed by this
    project's own workflow."""
    signer = f"{project.repository}/.github/workflows/release.yml@{git.default_branch(project)}"
    for target in TARGETS:
        if not DIGEST.fullmatch(digests.get(target, "")):
            raise Refused(f"there is no digest of the image {target}")
        for registry in project.registries:
            name = f"{registry}/{target}"
            index = _raw(project, f"{name}:{project.version}")
            there = f"sha256:{hashlib.sha256(index.encode()).hexdigest()}"
            if there != digests[target]:
                raise Refused(f"{name}:{project.version} is {there} and not {digests[target]}")
            if registry == project.images:  # what the digest stands for is the same everywhere
                _verify_platforms(project, name, json.loads(index))
            whose = ("--certificate-identity", signer, "--certificate-oidc-issuer", ISSUER)
            run(project, "cosign", "verify", *whose, f"{name}@{there}")


def _verify_platforms(project: Project, name: str, index: Mapping[str, Any]) -> None:
    manifests = index.get("manifests", [])
    attestations = {
        each["annotations"]["vnd.docker.reference.digest"]: each["digest"]
        for each in manifests
        if each.get("annotations", {}).get("vnd.docker.reference.type") == "attestation-manifest"
    }
    found = {
        f"{each['platform']['os']}/{each['platform']['architecture']}": each["digest"]
        for each in manifests
        if each["digest"] not in attestations.values()
    }
    if sorted(found) != sorted(PLATFORMS):
        raise Refused(f"{name} is for {', '.join(sorted(found)) or 'no platform'}")
    for platform, image in found.items():
        layers = []
        if image in attestations:
            layers = json.loads(_raw(project, f"{name}@{attestations[image]}"))["layers"]
        stated = [layer["annotations"]["in-toto.io/predicate-type"] for layer in layers]
        for predicate, what in ATTESTED.items():
            if not any(each.startswith(predicate) for each in stated):
                raise Refused(f"{name} for {platform} has no {what}")


def digest(project: Project, reference: str) -> str:
    """The digest of what a registry has under this name."""
    template = ("--format", "{{json .Manifest}}")
    said = run(project, "docker", "buildx", "imagetools", "inspect", *template, reference)
    return str(json.loads(said)["digest"])


def _raw(project: Project, reference: str) -> str:
    return run(project, "docker", "buildx", "imagetools", "inspect", "--raw", reference)


def login(project: Project, registry: str) -> None:
    """Log in with the token of the platform that the registry belongs to."""
    user, token = "release", "GITLAB_TOKEN"
    if registry == project.images:
        user, token = variable("GITHUB_ACTOR"), "GITHUB_TOKEN"
    host = registry.partition("/")[0]
    how = ("--username", user, "--password-stdin")
    run(project, "docker", "login", host, *how, stdin=variable(token))
