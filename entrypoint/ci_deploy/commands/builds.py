"""The `docker build` that the pipeline runs for an image, made from its `build` in a compose
file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ci_deploy.commands.compose_yaml import REMOTE, join, outside

# `NAME:${DEPLOY_TAG}`, also with text around the variable.
TAGGED = re.compile(
    r"(.+):([\w.-]*)\$(?:\{DEPLOY_TAG(?:[:?+-][^{}]*)?\}|DEPLOY_TAG(?!\w))([\w.-]*)"
)
# A name that begins with the registry to which the job logs in.
OWN = re.compile(
    r"\$(?:\{(?:DOCKER|CI)_REGISTRY(?:[:?+-][^{}]*)?\}|(?:DOCKER|CI)_REGISTRY)/([^$]+)"
)
# Variables that a shell replaces as Compose does.
IN_SHELL = re.compile(r"(?:[\w./@:-]|\$\w+|\$\{\w+(?:[:?+-]+[\w ./@:-]*)?\})+")
EXPRESSED = {"context", "dockerfile", "target", "args"}
# Settings that do not change what is built.
HARMLESS = {"cache_from", "cache_to", "no_cache", "provenance", "pull", "sbom", "tags"}

Tagged = tuple[str, str]  # the name of an image, and its tag in the shell of the pipeline


class Image(NamedTuple):
    """An image that the pipeline builds and pushes. What the compose file does not set is empty."""

    name: str  # as the compose file has it, with variables, without its tag
    context: str = ""  # a directory, relative to the repository's root, or another repository's URL
    dockerfile: str = ""  # relative to the context
    target: str = ""  # the stage to build
    args: tuple[str, ...] = ()  # each `NAME=value`
    tag: str = "$TAG"  # in the shell of the pipeline, where TAG is the value of DEPLOY_TAG

    @property
    def registry(self) -> str:
        """The host of the registry (`docker.io` if the name has none); empty if the name contains a
        variable."""
        first = self.name.partition("/")[0]
        return "" if "$" in self.name else first if re.search(r"[.:]", first) else "docker.io"

    @property
    def path(self) -> str:
        """The name in the registry, like `acme/web`; empty if it contains another variable than
        DOCKER_REGISTRY or CI_REGISTRY at its beginning."""
        if "$" in self.name:
            own = OWN.fullmatch(self.name)
            return own[1] if own else ""
        first, _, rest = self.name.partition("/")
        return rest if re.search(r"[.:]", first) else self.name

    def pushed(self, registry: str) -> str:
        """The whole name and tag to push, for the shell of the pipeline. `registry` (a host) stands
        for DOCKER_REGISTRY or CI_REGISTRY; a name with other variables is left as it is."""
        return f"{self.registry or registry}/{self.ending}" if self.path else self.ending

    @property
    def ending(self) -> str:
        """The name and tag without the registry; with it if `path` is empty."""
        return f"{self.path or self.name}:{self.tag}"

    def build(self, registry: str, folder: str) -> str:
        """The shell command `docker build --push …` for the image, one line, to be run in the
        repository's root. `registry`: as for `pushed`; `folder`: the app's directory, relative to
        the root, which is the context of an image that has none."""
        context = self.context or folder or "."
        words = ["docker", "build", "--push"]
        if self.dockerfile:
            is_remote = REMOTE.match(context)
            words += ["--file", self.dockerfile if is_remote else join(context, self.dockerfile)]
        words += ["--target", self.target] if self.target else []
        words += [word for each in self.args for word in ("--build-arg", each)]
        end = shlex.quote(f"./{context}" if context.startswith("-") else context)
        return f'{shlex.join(words)} --tag "{self.pushed(registry)}" {end}'


def tagged(service: Mapping[str, Any]) -> Tagged | None:
    """(name, tag) of the image of a compose service, if its tag contains the variable DEPLOY_TAG,
    for which the tag then has `$TAG`, the variable in the shell of the pipeline; else None."""
    if not (match := TAGGED.fullmatch(str(service.get("image")))):
        return None
    return match[1], f"{match[2]}${{TAG}}{match[3]}" if match[3] else f"{match[2]}$TAG"


def not_pushable(name: str) -> str:
    """A clause that says why an image with this name cannot be pushed; empty if it can."""
    if not IN_SHELL.fullmatch(name):
        return f"a shell would not read its name, `{name}`, as Compose does"
    return "" if "/" in name or "$" in name else "its name has neither a registry nor an account"


def image_of(
    name: str, tag: str, build: Mapping[str, Any], top: Path
) -> tuple[Image, tuple[str, ...]]:
    """(image, doubts) of a service whose `build` in the compose files is `build`, with its context.
    The doubts are clauses that say what the pipeline cannot build as Compose would. `name`, `tag`:
    from `tagged`; `top`: the root of the repository."""
    doubts: list[str] = []
    context = build["context"]
    if REMOTE.match(context):
        doubts.append("it is built from another repository, which the job must be able to fetch")
        dockerfile = build.get("dockerfile", "")
    else:
        context, dockerfile = _directory(build, top, doubts)
    target = build.get("target", "")
    if not _is_plain(target):
        doubts.append(f"its target `{target}` {_why(target)}")
        target = ""
    args = build.get("args", {})
    known = {key: text for key, text in args.items() if text is not None and _is_plain(text)}
    if unknown := [key for key in args if key not in known]:
        doubts.append(f"the line lacks --build-arg for {_and(unknown)}, set by a variable")
    if more := [key for key, is_set in build.items() if is_set and _changes(key)]:
        doubts.append(f"the line leaves out {_and(more)}")
    pairs = tuple(f"{key}={text}" for key, text in known.items())
    return Image(name, context, dockerfile, target, pairs, tag), tuple(doubts)


def _directory(build: Mapping[str, Any], top: Path, doubts: list[str]) -> tuple[str, str]:
    """The context and the Dockerfile; each is empty if it is not known."""
    context, dockerfile = build["context"], build.get("dockerfile", "")
    if not _is_plain(context) or outside(context):
        why = _why(context) if not _is_plain(context) else "is not in the repository"
        doubts.append(f"its build context `{context}` {why}")
        return "", ""
    path = join(context, dockerfile or "Dockerfile")
    if not _is_plain(dockerfile):
        doubts.append(f"its Dockerfile `{dockerfile}` {_why(dockerfile)}")
    elif not ((top / path).is_file() or build.get("dockerfile_inline")):
        doubts.append(f"there is no file {path}")
    return context, "" if outside(path) or not _is_plain(dockerfile) else dockerfile


def _is_plain(text: str) -> bool:
    """Whether a text needs no variable, so that it means the same in any pipeline."""
    return text.isprintable() and "$" not in text and "<<" not in text


def _why(text: str) -> str:
    """A clause that says why a text is not plain."""
    return "depends on a variable" if "$" in text else "contains `<<` or a control character"


def _changes(key: str) -> bool:
    return key not in EXPRESSED | HARMLESS and not key.startswith("x-")


def _and(names: list[str]) -> str:
    return " and ".join(f"`{each}`" for each in names)
