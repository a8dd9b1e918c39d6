"""The whole release, from a clean clone: what stands in the workflow is run, job by job.

Real: git and its remotes, two registries, the copy from one to the other, one image that is built
and started. Stand-ins: BuildKit's attestations, cosign, gh (tests/release/programs.py).
"""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from release.project import PLATFORMS, TARGETS
from standins.engine import LABEL, docker
from tests.contract.test_manifest import actions, provider_of, templates
from tests.release.fork import GITHUB, GITLAB, NOTES, VERSION, Fork, StepFailed, tags

pytestmark = pytest.mark.docker
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]

ACTIONS = ["action.yml", *actions()]


@pytest.mark.long
def test_release(registries: tuple[str, str], tmp_path: Path) -> None:
    """Takes two minutes: an image is built for real, pushed to one registry with all the others,
    and copied to the second; the last job runs three times."""
    fork = Fork(tmp_path / "fork", registries).make()
    head = fork.git("source", "rev-parse", "HEAD")
    for job in ("check", "build", "publish"):
        fork.job(job)
    assert [*tags(fork, "github"), *tags(fork, "gitlab")] == []  # nobody has heard of it yet

    _nothing_is_tagged_that_is_not_in_both_registries(fork)
    fork.job("tag")

    project = fork.project(fork.folder / "source")
    digests = json.loads((fork.folder / "artifacts/digests/digests.json").read_text())
    _everything_was_built_once_and_pinned(fork, head)
    _both_registries_have_the_same(fork, digests)

    # what people get: the same tree on both platforms, and the branch is as it was
    assert set(tags(fork, "github")) == {f"v{VERSION}", "v7"}
    assert set(tags(fork, "gitlab")) == {VERSION}
    commit = fork.git("github.git", "rev-parse", f"v{VERSION}^{{commit}}")
    assert fork.git("github.git", "rev-parse", "v7") == commit
    assert fork.git("gitlab.git", "rev-parse", f"{VERSION}^{{commit}}") == commit
    assert fork.git("github.git", "rev-parse", f"{commit}^", "main").split() == [head, head]
    assert fork.git("gitlab.git", "rev-parse", "main") == head
    assert fork.git(
        "gitlab.git", "for-each-ref", "--format=%(contents)", f"refs/tags/{VERSION}"
    ) == (NOTES.strip())
    (release,) = (call for call in fork.calls() if "release" in call)
    assert (release["release"], release["title"]) == (f"v{VERSION}", VERSION)
    assert release["notes"].strip() == NOTES.strip()

    fork.git("github.git", "worktree", "add", "--quiet", str(fork.folder / "released"), commit)
    released = fork.folder / "released"
    first, second = project.registries
    end = {name: f"{name}:{VERSION}@{digest}" for name, digest in digests.items()}
    load = YAML(typ="safe", pure=True).load
    for name in ACTIONS:
        action = load((released / name).read_text())
        assert action["runs"]["image"] == f"docker://{first}/{end[provider_of(name) or 'full']}"
    for name in templates():
        header = (released / name).read_text().split("\n---\n")[0]
        default = load(header)["spec"]["inputs"]["image"]["default"]
        assert default == f"{second}/{end[provider_of(name) or 'full']}"
    readme = (released / "README.md").read_text()
    assert f"uses: acme/deployer@v{VERSION}\n" in readme
    assert f"$CI_SERVER_FQDN/acme/tools/deployer/deploy@{VERSION}\n" in readme
    assert f"{first}/dokku:{VERSION} " in readme
    changed = fork.git("github.git", "diff", "--name-only", head, commit).split()
    assert changed == sorted(["pyproject.toml", *ACTIONS, *templates()])

    # by the digest, from the other registry, the image runs and says what it was made of
    image = f"{second}/dokku@{digests['dokku']}"
    assert (
        VERSION in docker("run", "--rm", f"--label={LABEL}", image, "ci-deploy", "version").stdout
    )
    labels = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]["Labels"]
    made = {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()}
    assert (made["version"], made["revision"], made["source"]) == (VERSION, head, GITHUB)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made["created"])

    # the last job again changes nothing; a second release of the version does not begin
    before = [fork.git(each, "show-ref") for each in ("github.git", "gitlab.git")]
    fork.job("tag")
    assert before == [fork.git(each, "show-ref") for each in ("github.git", "gitlab.git")]
    assert len([call for call in fork.calls() if "release" in call]) == 1
    with pytest.raises(StepFailed, match=f"the tag v{VERSION} exists at {GITHUB}") as refused:
        fork.job("check")
    assert f"the tag {VERSION} exists at {GITLAB}" in str(refused.value)


def _nothing_is_tagged_that_is_not_in_both_registries(fork: Fork) -> None:
    """In one registry the version of one image is another one."""
    first, second = (f"{each}/heroku" for each in fork.project(fork.folder / "source").registries)
    digests = json.loads((fork.folder / "artifacts/digests/digests.json").read_text())
    docker("tag", f"{first}:{NATIVE}", f"{second}:{VERSION}")
    docker("push", "--quiet", f"{second}:{VERSION}")
    with pytest.raises(StepFailed, match=f"heroku:{VERSION} is sha256:.* and not sha256:"):
        fork.job("tag")
    assert [*tags(fork, "github"), *tags(fork, "gitlab")] == []
    copy = ("--tag", f"{second}:{VERSION}", f"{first}@{digests['heroku']}")
    fork.docker("buildx", "imagetools", "create", *copy)


def _everything_was_built_once_and_pinned(fork: Fork, head: str) -> None:
    builds = [call for call in fork.calls() if "build" in call]
    wanted = [(platform, target) for platform in PLATFORMS for target in TARGETS]
    assert [(each["build"]["--platform"], each["build"]["--target"]) for each in builds] == wanted
    pins = fork.facts["pins"]
    for each in builds:
        arguments = each["arguments"]
        assert (arguments["VERSION"], arguments["REVISION"]) == (VERSION, head)
        assert (arguments["BASE_IMAGE"], arguments["SOURCE_URL"]) == (pins["base"], GITHUB)
        assert each["build"]["--attest type=sbom"] == f"type=sbom,generator={pins['sbom']}"
        assert each["build"]["--attest type=provenance"] == "type=provenance,mode=max"


def _both_registries_have_the_same(fork: Fork, digests: dict[str, str]) -> None:
    assert sorted(digests) == sorted(TARGETS)
    signed = {each for call in fork.calls() for each in call.get("sign", [])}
    project = fork.project(fork.folder / "source")
    assert signed == {
        f"{registry}/{target}@{digests[target]}"
        for registry in project.registries
        for target in TARGETS
    }
