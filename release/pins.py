"""Nothing that a release is made of may change under its name: actions by SHA, images by digest,
packages by hash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from release import images
from release.project import DIGEST, Project, Refused

_ACTION = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d[\w.]*")
_PINNED_IMAGE = re.compile(rf"[\w./:-]+:[\w.-]+@{DIGEST.pattern}")
_PIPELINE = ".gitlab-ci.yml"


def problems(project: Project) -> Iterator[str]:
    """Everything that is not pinned."""
    for path in sorted((project.root / ".github/workflows").glob("*.yml")):
        for used in re.findall(r"^\s*(?:- )?uses: *(.*?)\s*$", path.read_text("utf-8"), re.M):
            if not used.startswith(("./", "$/")) and not _ACTION.fullmatch(used):
                yield f"{path.name}: '{used}' needs the SHA of a commit and the version behind it"
    for image in _pipeline_images(project):
        if not _PINNED_IMAGE.fullmatch(image):
            yield f"{_PIPELINE}: the image '{image}' has no digest"
    for name, image in project.pins.items():
        if not _PINNED_IMAGE.fullmatch(image):
            yield f"pyproject.toml: the pin {name} = '{image}' has no digest"
    yield from _bases(project)
    yield from _packages(project)


def unknown(project: Project) -> Iterator[str]:
    """Pinned images that their registry does not have."""
    for image in sorted({*project.pins.values(), *_pipeline_images(project)}):
        try:
            images.digest(project, image)
        except Refused as error:
            yield str(error)


def refresh(project: Project) -> Iterator[str]:
    """Write the digest that each pinned tag has today; what has changed."""
    for name in ("pyproject.toml", _PIPELINE):
        path = project.root / name
        text = path.read_text(encoding="utf-8")
        for image in sorted(set(_PINNED_IMAGE.findall(text))):
            tag = image.partition("@")[0]
            newest = f"{tag}@{images.digest(project, tag)}"
            if newest != image:
                text = text.replace(image, newest)
                yield f"{name}: {newest}"
        path.write_text(text, encoding="utf-8")


def _pipeline_images(project: Project) -> list[str]:
    text = (project.root / _PIPELINE).read_text(encoding="utf-8")
    return re.findall(r"^\s*image: *(\S+)", text, re.M)


def _bases(project: Project) -> Iterator[str]:
    """A stage of the Dockerfile begins with another one, nothing, or the base that is pinned."""
    text = (project.root / "Dockerfile").read_text(encoding="utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.M)) | {"scratch", "${BASE_IMAGE}"}
    if text.startswith("# syntax="):
        yield "Dockerfile: '# syntax=' pulls an image that is not pinned"
    sources = re.findall(r"^FROM (\S+)", text, re.M) + re.findall(r"--from=(\S+)", text)
    for source in sources:
        if source not in stages:
            yield f"Dockerfile: '{source}' is not pinned; build arguments of a release are"


def _packages(project: Project) -> Iterator[str]:
    for path in sorted((project.root / "requirements").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        for line in lines:
            if re.match(r"\w", line) and not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:", line):
                yield f"{path.name}: '{line.split()[0]}' has no hash"
    for path in sorted((project.root / "requirements").glob("*/package-lock.json")):
        for name, package in json.loads(path.read_text(encoding="utf-8"))["packages"].items():
            # What is inside of another package is covered by that one's hash.
            if name and "integrity" not in package and not package.get("inBundle"):
                yield f"{path.parent.name}/{path.name}: '{name}' has no integrity"
