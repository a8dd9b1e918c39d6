"""Which words of a compose file may name files, and what a release makes of the repository's."""

from __future__ import annotations

import json
import os
import posixpath
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.facts import read_facts
from ci_deploy.layers.providers.compose.named import bring
from ci_deploy.layers.providers.docker.files import ComposeFile
from ci_deploy.layers.providers.docker.mentioned import mentioned
from ci_deploy.layers.providers.docker.tree import BIG, Tree
from ci_deploy.process.program import Command, Result
from standins.support import Checkout

PATH = "/srv/shop"


@pytest.mark.parametrize(
    "text",
    [
        "    env_file: app.env",
        "    env_file: './app.env' # mine",
        "    env_file:\n      - .env\n      - app.env",
        "    env_file:\n    - path: app.env\n      required: false",
        "    env_file: [.env, app.env]",
        "    env_file:\n      - app.${STAGE:-env}",
        "    env_file: app.${SUFFIX}",
        "include:\n  - app.env",
        "include:\n  - path: [a.yml, app.env]",
        "    extends: {file: app.env, service: base}",
        '{"services": {"app": {"env_file": ["app.env"]}}}',
        "x-env: &env\n  - app.env\nservices:\n  app:\n    env_file: *env",
        "    env_file: &env\n      - app.env",
    ],
)
def test_files_that_compose_reads_are_found_in_every_form(text: str) -> None:
    """(faults H4)"""
    words = [word.removeprefix("./") for word in mentioned(text, {"SUFFIX": "env"})]
    assert "app.env" in words


def test_other_words_are_not_taken_for_files_that_compose_reads() -> None:
    """A command or an image may be called like a file. (faults H4)"""
    text = "    image: nginx\n    command: [server.js]\n    env_file:\n      - a\n    build: web\n"
    assert set(mentioned(text, {})) - {"-"} == {"a"}


class _Tree:
    """The repository: path → content."""

    def __init__(self, **files: str) -> None:
        self.files = {
            name.replace("__", "/").replace("_", "."): text for name, text in files.items()
        }
        self.ctx: Any = SimpleNamespace(app="shop", revision="1" * 40)
        self.reads: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        self.texts: list[bytes] = []

    def has(self, name: str) -> bool:
        return name in self.files

    def under(self, folder: str) -> dict[str, str]:
        return {
            path.removeprefix(f"{folder}/"): text
            for path, text in self.files.items()
            if path.startswith(f"{folder}/") or folder == "."
        }

    def content(self, name: str) -> bytes:
        return self.files[name].encode()

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        return {name: self.content(name) for name in names}

    def submodules(self, _name: str) -> list[str]:
        return []

    def made(self, _name: str) -> None:
        """Nothing."""


def _bring(tree: _Tree, volume: dict[str, Any], there: str = "") -> Any:
    source = posixpath.normpath(f"{PATH}/{volume['source']}")
    mount = {"type": "bind", **volume, "source": source}
    model = json.dumps({"services": {"app": {"volumes": [mount]}}})
    facts = read_facts(f"path {PATH}\n{there}\nmodel\n{model}")
    host: Any = SimpleNamespace(facts=facts)
    wanted: Any = tree
    return bring(wanted, [host])


def _source(brought: Any) -> str:
    laid = json.loads(brought.parts["content.json"])
    return str(laid["services"]["app"]["volumes"][0]["source"])


def test_copy_of_a_file_is_named_by_what_it_holds() -> None:
    """So what is unchanged is not restarted. (faults H4)"""
    volume = {"source": "a.conf", "target": "/a.conf"}
    one, same, two = (_source(_bring(_Tree(a_conf=text), volume)) for text in ("1", "1", "2"))
    assert one == same != two
    assert one.startswith("./.ci-deploy/apps/shop/content/")


@pytest.mark.parametrize(
    ("volume", "there", "how"),
    [
        ({"read_only": True}, f"there d {PATH}/d\nown {PATH}/d/a.conf", "content"),
        ({"read_only": True}, f"there d {PATH}/d\nown {PATH}/d/key.pem", "place"),
        ({}, f"there - {PATH}/d", "place"),
    ],
)
def test_directory_is_a_copy_only_where_nobody_else_has_anything_in_it(
    volume: dict[str, Any], there: str, how: str
) -> None:
    """(faults H4)"""
    brought = _bring(_Tree(d__a_conf="1"), {"source": "d", "target": "/d", **volume}, there)
    assert {name.partition("/")[0] for name in brought.parts if "/" in name} == {how}


@pytest.mark.parametrize("content", ["", "\n", "SQLite format 3\0"])
def test_file_that_a_container_fills_stays_the_hosts(content: str) -> None:
    """A proxy's certificates begin as an empty file of the repository, a database as a binary one:
    a copy for each release would lose what was written. (faults H4)"""
    volume = {"source": "proxy/acme.json", "target": "/acme.json"}
    tree = _Tree(proxy__acme_json=content)
    brought = _bring(tree, volume, f"there f {PATH}/proxy/acme.json")
    assert "content.json" not in brought.parts
    assert brought.parts["place/proxy/acme.json"] == content.encode()
    assert brought.parts["places"] == b"proxy/acme.json\n"
    assert _source(_bring(tree, {**volume, "read_only": True})).startswith("./.ci-deploy/")


def test_directory_with_nothing_but_a_placeholder_is_the_hosts() -> None:
    """(faults H4)"""
    brought = _bring(_Tree(data___gitkeep=""), {"source": "data", "target": "/data"})
    assert not brought.parts


def test_env_file_by_hand_is_never_replaced() -> None:
    """(faults H4)"""
    assert not _bring(_Tree(_env="A=1"), {"source": ".env", "target": "/app/.env"}).parts


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ("nginx.prod.conf", "/etc/nginx/nginx.conf", True),
        ("conf.d", "/etc/nginx/conf.d", False),
        ("data", "/data", False),
        ("shop.example", "/var/lib/shop", False),
    ],
)
def test_file_that_is_nowhere_is_refused_and_a_directory_is_made_by_docker(
    source: str, target: str, *, refused: bool
) -> None:
    """(faults H4)"""
    volume, there = {"source": source, "target": target}, f"there - {PATH}/{source}"
    if not refused:
        assert "Docker creates an empty directory" in _bring(_Tree(), volume, there).said[0]
        return
    with pytest.raises(SettingsError, match="neither in the repository at 1111111 nor on"):
        _bring(_Tree(), volume, there)


def test_files_of_included_files_are_looked_for_beside_them_and_at_the_top(tmp_path: Path) -> None:
    """Versions of Compose differ in it. (faults H4)"""
    checkout = Checkout(
        tmp_path / "checkout",
        {
            "compose.yml": "include: [app/compose.yml]\n",
            "app/compose.yml": "services: {app: {extends: {file: base.yml}, env_file: top.env}}\n",
            "app/base.yml": "services: {app: {env_file: [.env, own.env]}}\n",
            "app/own.env": "A=1\n",
            "top.env": "B=1\n",
            "other.env": "C=1\n",
            ".env": "D=1\n",
        },
    )
    ctx: Any = SimpleNamespace(
        facts=SimpleNamespace(build=""), app_config={}, revision=checkout.head,
        settings=SimpleNamespace(app_dir=""),
        repository=_repository(checkout.path),
    )  # fmt: skip
    tree = Tree(ctx, [ComposeFile("compose.yml", b"include: [app/compose.yml]\n")], {})
    assert set(tree.reads) == {"app/compose.yml", "app/base.yml", "app/own.env", "top.env"}
    assert tree.parts["read/top.env"] == b"B=1\n"


def _repository(folder: Path) -> Any:
    """Git in a checkout, as a program that the runner starts."""

    def read_all(commands: list[Command], **_: object) -> list[Result]:
        done = [
            subprocess.run(
                e.argv,
                cwd=folder,
                capture_output=True,
                input=e.stdin if isinstance(e.stdin, bytes) else b"",
            )
            for e in commands
        ]
        return [Result((), each.returncode, each.stdout) for each in done]

    runner = SimpleNamespace(read_all=read_all)
    argv = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    head = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    return SimpleNamespace(
        runner=runner, command=lambda *words: Command(["git", *words]), head=head
    )


def test_directory_that_is_somebody_elses_is_left_alone_with_a_warning() -> None:
    """Docker makes missing ones as root: to fail there would stop what has worked. (faults H4)"""
    tree = _Tree(d__a_conf="1")
    warned: list[str] = []
    tree.ctx.console = SimpleNamespace(warning=warned.append)
    brought = _bring(tree, {"source": "d", "target": "/d"}, f"there r {PATH}/d")
    assert not brought.parts
    assert "app mounts d, which the SSH user may not write to on" in warned[0]


def _tree(checkout: Checkout, folder: str = "", build: str = "") -> Tree:
    ctx: Any = SimpleNamespace(
        app_config={}, revision=checkout.head, settings=SimpleNamespace(app_dir=folder),
        repository=_repository(checkout.path), workspace=checkout.path,
        facts=SimpleNamespace(build=build), console=SimpleNamespace(indent=print, warning=print),
    )  # fmt: skip
    return Tree(ctx, [ComposeFile("deploy/compose.yml", b"services: {}\n")], {})


def test_names_mean_files_beside_the_compose_file_and_at_the_top(tmp_path: Path) -> None:
    """A tab may be in a name, too: what stands behind it is no name."""
    names = ("deploy/nginx/a", "nginx/a", "nginx/b", "nginx-old/c", "x\tnginx/d", "é/f", "top")
    files = {f"shop/{name}": f"{name}\n" for name in names}
    tree = _tree(Checkout(tmp_path / "checkout", {**files, "outside": ""}), "shop")
    assert {name: tree.has(name) for name in ("nginx/a", "top", "é/f", "nginx/d", "nginx", "")} == {
        "nginx/a": True, "top": True, "é/f": True, "nginx/d": False, "nginx": False, "": False,
    }  # fmt: skip
    assert sorted(tree.under("nginx")) == ["a", "b"]
    assert [tree.content(name) for name in ("nginx/a", "nginx/b")] == [
        b"deploy/nginx/a\n",
        b"nginx/b\n",
    ]


def test_names_above_the_compose_file_mean_files_of_the_repository(tmp_path: Path) -> None:
    """And no name means what is outside of it."""
    files = {"nginx/a": "a\n", "nginx/b": "b\n", "shop/x": "x\n", "top": "t\n"}
    tree = _tree(Checkout(tmp_path / "checkout", files))
    assert {each: tree.has(each) for each in ("../top", "../../top", "../nginx")} == {
        "../top": True, "../../top": False, "../nginx": False,
    }  # fmt: skip
    assert sorted(tree.under("../nginx")) == ["a", "b"]
    assert tree.contents(["../nginx/a", "../top"]) == {"../nginx/a": b"a\n", "../top": b"t\n"}


def test_all_files_of_a_directory_are_read_by_one_call(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout", {f"d/{n}": f"{n}\n" for n in range(40)})
    for name, to in (("link", "7"), ("other", "8"), ("third", "9")):
        (checkout.path / "d" / name).symlink_to(to)
    checkout.commit("Links")
    tree = _tree(checkout)
    repository: Any = tree.ctx.repository
    asked, git = [], repository.runner.read_all

    def counted(commands: list[Command], **more: object) -> Any:
        asked.extend(commands)
        return git(commands, **more)

    repository.runner.read_all = counted
    found = tree.contents(f"d/{name}" for name in tree.under("d"))
    assert found["d/39"] == b"39\n"
    assert found["d/link"] == b"7\n", "what it refers to"
    assert len(asked) == 2, "one is of the links"


def test_submodules_are_no_files(tmp_path: Path) -> None:
    """They were taken for empty ones."""
    checkout = Checkout(tmp_path / "checkout", {"d/a": "a"})
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{checkout.head},d/module")
    checkout.git("commit", "--quiet", "--message", "Module")
    checkout.head = checkout.git("rev-parse", "HEAD")
    tree = _tree(checkout)
    assert not tree.has("d/module")
    assert list(tree.under("d")) == ["a"]
    assert tree.submodules("d") == tree.submodules("d/module") == ["d/module"]


def test_file_of_the_commit_in_the_checkout_is_not_one_that_the_job_has_made(
    tmp_path: Path,
) -> None:
    """An older revision is deployed, which has left that file to the host."""
    checkout = Checkout(tmp_path / "checkout", {"README": ""})
    older = checkout.head
    checkout.commit("Later", {"deploy/nginx.conf": "new"})
    (checkout.path / "deploy/key.json").write_text("{}")
    checkout.head = older
    tree = _tree(checkout, build="7")
    assert not tree.has("nginx.conf")
    assert tree.has("key.json")


@pytest.mark.parametrize("fixed", [False, True])
def test_directory_of_the_app_itself_is_left_alone_with_a_warning(fixed: bool) -> None:
    """`.:/app`: it may have another copy of the code, which would become a mix of two revisions."""
    tree = _Tree(src__app_py="1", README="r")
    warned: list[str] = []
    tree.ctx.console = SimpleNamespace(warning=warned.append)
    volume = {"source": ".", "target": "/app", "read_only": fixed}
    assert not _bring(tree, volume, f"there d {PATH}").parts
    assert "does not update the files in it" in warned[0]


def test_path_of_the_host_above_deploy_path_is_not_one_of_the_repository() -> None:
    """The root of the host for a monitor, or a directory beside DEPLOY_PATH."""
    tree = _Tree()
    tree.files = {"../config/a": "1", "../x": "2"}
    tree.texts = [b"volumes: ['/:/rootfs:ro', '/srv/config:/config:ro', '..:/all:ro']"]
    for source in ("..", "../config", "../../.."):
        volume = {"source": source, "target": "/c", "read_only": True}
        assert not _bring(tree, volume).parts, source


def test_partial_clone_is_completed_before_files_are_taken_for_empty(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout", {"d/a": "1\n", "d/empty": ""})
    tree = _tree(checkout)
    repository: Any = tree.ctx.repository
    asked: list[Command] = []
    completed: list[str] = []
    git = repository.runner.read_all

    def lacking(commands: list[Command], **more: object) -> Any:
        asked.extend(commands)
        found = git(commands, **more)
        return found if completed else [each._replace(out=b"", exit_code=128) for each in found]

    repository.runner.read_all, repository.complete = lacking, completed.append
    assert tree.contents(["d/a", "d/empty"]) == {"d/a": b"1\n", "d/empty": b""}
    assert completed == [tree.ctx.revision]


def test_link_that_leads_to_a_directory_is_not_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would become a file with the name of the directory in it."""
    checkout = Checkout(tmp_path / "checkout", {"d/v2/a": "a"})
    for name, to in (("current", "v2"), ("outside", "/etc/passwd"), ("again", "again")):
        (checkout.path / "d" / name).symlink_to(to)
    checkout.commit("Links")
    tree = _tree(checkout)
    assert list(tree.under("d")) == ["v2/a"]
    assert "the link d/current leads to no file" in capsys.readouterr().out


def test_what_is_above_deploy_path_comes_only_as_a_copy() -> None:
    tree = _Tree()
    tree.files = {"../conf/a": "1", "../a.conf": "2"}
    tree.texts = [b"volumes: [../a.conf:/a, './../a.conf', '../conf:/c']"]
    warned: list[str] = []
    tree.ctx.console = SimpleNamespace(warning=warned.append)
    assert _source(_bring(tree, {"source": "../a.conf", "target": "/a"})).startswith("./.ci-deploy")
    fixed = {"source": "../conf", "target": "/c", "read_only": True}
    assert _source(_bring(tree, fixed)).startswith("./.ci-deploy")
    assert not warned
    assert not _bring(tree, {"source": "../conf", "target": "/c"}).parts
    assert "../conf, which is above DEPLOY_PATH" in warned[0]


def test_file_that_the_job_has_made_counts_in_ci(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But no other way to what is beside the checkout, or to its credentials."""
    files = {"shop/deploy/a.conf": "old", "shop/out": ""}
    checkout = Checkout(tmp_path / "checkout", files)
    top = checkout.path / "shop"
    (tmp_path / "secret").write_text("s")
    (top / "link").symlink_to(tmp_path)
    (top / "git").symlink_to(checkout.path / ".git")
    (top / "deploy/key.json").write_text("{}")
    (top / "deploy/a.conf").write_text("changed")
    names = ("key.json", "a.conf", "link/secret", "git/config", "../../.git/config", "gone")
    assert [each for each in names if _tree(checkout, "shop", "7").has(each)] == list(names[:2])
    assert [each for each in names if _tree(checkout, "shop").has(each)] == ["a.conf"], "by hand"
    tree = _tree(checkout, "shop", "7")
    assert tree.content("key.json") == tree.content("key.json") == b"{}"
    assert tree.content("a.conf") == b"old", "what is committed counts"
    (top / "deploy/big.sql").touch()
    os.truncate(top / "deploy/big.sql", BIG + 1)
    assert not tree.has("big.sql")
    said = capsys.readouterr().out
    assert said.count("key.json is not committed") == 1
    assert "shop/deploy/a.conf was changed in the checkout, but the committed" in said
