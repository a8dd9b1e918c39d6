"""Archives of images in every form that builders write, and in those that attackers would."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ci_deploy.layers.providers.compose.archive_members import HEADER, BadArchive
from ci_deploy.layers.providers.compose.archive_stream import missing, stream
from ci_deploy.layers.providers.compose.image_archive import Archive, Image, full_name, short_name

Entry = bytes | tarfile.TarInfo
LOWER, UPPER = b"lower" * 300, b"upper" * 300
APP = "docker.io/acme/app:v1"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(data: bytes) -> str:
    return f"blobs/sha256/{digest(data)[7:]}"


def config(*layers: bytes, arch: str = "amd64") -> bytes:
    diffs = [digest(layer) for layer in layers]
    return json.dumps(
        {"os": "linux", "architecture": arch, "rootfs": {"type": "layers", "diff_ids": diffs}}
    ).encode()


CONFIG = config(LOWER, UPPER)


def write(path: Path, entries: Mapping[str, Entry], mode: str = "w") -> Path:
    """A tar with these members."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, entry in entries.items():
            if isinstance(entry, bytes):
                member = tarfile.TarInfo(name)
                member.size = len(entry)
                tar.addfile(member, io.BytesIO(entry))
            else:
                tar.addfile(entry)
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def listed(tags: Any, layers: list[str], name: str = "config.json") -> bytes:
    return json.dumps([{"Config": name, "RepoTags": tags, "Layers": layers}]).encode()


def docker(**more: Entry) -> dict[str, Entry]:
    """As `docker save` wrote it before 25."""
    return {
        "a/layer.tar": LOWER,
        "b/layer.tar": UPPER,
        "config.json": CONFIG,
        "manifest.json": listed(["acme/app:v1"], ["a/layer.tar", "b/layer.tar"]),
        **more,
    }


def manifest(config_: bytes, layers: list[bytes], kind: str = "tar") -> bytes:
    told = [
        {
            "mediaType": f"application/vnd.oci.image.layer.v1.{kind}",
            "digest": digest(layer),
            "size": len(layer),
        }
        for layer in layers
    ]
    about = {"digest": digest(config_), "size": len(config_)}
    return json.dumps({"schemaVersion": 2, "config": about, "layers": told}).encode()


def index(*entries: tuple[bytes, dict[str, Any]]) -> bytes:
    told = [{"digest": digest(data), "size": len(data), **more} for data, more in entries]
    return json.dumps({"schemaVersion": 2, "manifests": told}).encode()


NAMED = {"annotations": {"io.containerd.image.name": APP}}


def layout(*blobs: bytes, index_: bytes, **more: Entry) -> dict[str, Entry]:
    return {**{blob(b): b for b in blobs}, "oci-layout": b"{}", "index.json": index_, **more}


def sent(images: dict[str, Image], chains: frozenset[tuple[str, ...]]) -> dict[str, bytes]:
    """What arrives at the host."""
    with os.fdopen(stream(images, missing(list(images.values()), chains)), "rb") as pipe:
        data = gzip.decompress(pipe.read())
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = [(each, tar.extractfile(each)) for each in tar]
        return {each.name: file.read() for each, file in found if file}


def check(path: Path) -> Image:
    """One complete image that arrives whole, and without what the host has."""
    [image] = Archive(path).images()
    assert image.names == (APP,)
    assert image.id == digest(image.config)
    assert not image.lacks
    assert [each.diff_id for each in image.layers] == [digest(LOWER), digest(UPPER)]
    whole = sent({"acme/app:new": image}, frozenset())
    assert list(whole)[-1] == "manifest.json", "what is cut off before it is no image"
    [entry] = json.loads(whole["manifest.json"])
    assert entry["RepoTags"] == ["acme/app:new"]
    for name in entry["Layers"]:
        assert name == blob(whole[name])
    assert whole[entry["Config"]] == image.config
    told = json.loads(whole["index.json"])["manifests"][0]
    assert json.loads(whole[f"blobs/sha256/{told['digest'][7:]}"])["layers"]
    part = sent({"acme/app:new": image}, frozenset({(digest(LOWER),)}))
    assert set(whole) - set(part) == {entry["Layers"][0]}
    other = sent({"acme/app:new": image}, frozenset({(digest(UPPER),)}))
    assert set(other) == set(whole), "the same layer on top of others is another one"
    return image


def test_docker_save_of_old_versions(tmp_path: Path) -> None:
    check(write(tmp_path / "x.tar", docker()))


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_archives_that_are_packed(tmp_path: Path, mode: str) -> None:
    check(write(tmp_path / "x.tar", docker(), mode))


def test_layer_that_is_a_link_to_another_ones(tmp_path: Path) -> None:
    """Docker before 25, where two images share it; by name, so nothing outside can be meant."""
    entries = {**docker(), "a/layer.tar": link("a/layer.tar", "../c/layer.tar")}
    entries["c/layer.tar"] = LOWER
    check(write(tmp_path / "x.tar", entries))


def test_docker_save_of_25_has_both_and_no_layers_in_its_manifest(tmp_path: Path) -> None:
    """moby/moby#47065."""
    empty = manifest(CONFIG, [])
    entries = layout(LOWER, UPPER, CONFIG, empty, index_=index((empty, NAMED)))
    told = listed(["acme/app:v1"], [blob(LOWER), blob(UPPER)], blob(CONFIG))
    check(write(tmp_path / "x.tar", {**entries, "manifest.json": told}))


def test_oci_layout_of_buildx(tmp_path: Path) -> None:
    packed = [gzip.compress(LOWER), gzip.compress(UPPER)]
    told = manifest(CONFIG, packed, "tar+gzip")
    entries = layout(*packed, CONFIG, told, index_=index((told, NAMED)))
    image = check(write(tmp_path / "x.tar", entries))
    assert image.manifest == told


def test_oci_layout_of_skopeo_has_the_name_where_the_tag_belongs(tmp_path: Path) -> None:
    told = manifest(CONFIG, [LOWER, UPPER])
    name = {"annotations": {"org.opencontainers.image.ref.name": "acme/app:v1"}}
    entries = layout(LOWER, UPPER, CONFIG, told, index_=index((told, name)))
    check(write(tmp_path / "x.tar", entries))


def test_name_of_buildx_1659_is_only_in_its_index(tmp_path: Path) -> None:
    """docker/buildx#1659: RepoTags is null."""
    told = manifest(CONFIG, [LOWER, UPPER])
    entries = layout(LOWER, UPPER, CONFIG, told, index_=index((told, NAMED)))
    nameless = listed(None, [blob(LOWER), blob(UPPER)], blob(CONFIG))
    check(write(tmp_path / "x.tar", {**entries, "manifest.json": nameless}))


def test_jib_and_kaniko_pack_the_layers_of_docker_archives(tmp_path: Path) -> None:
    packed = gzip.compress(UPPER)
    entries = docker(**{"b/layer.tar": packed})
    image = check(write(tmp_path / "x.tar", entries))
    assert [each.digest for each in image.layers] == [digest(LOWER), digest(packed)]
    assert image.layers[1].kind.endswith("+gzip")


def test_each_platform_is_an_image_and_attestations_are_none(tmp_path: Path) -> None:
    arm = config(LOWER, UPPER, arch="arm64")
    one, other, note = manifest(CONFIG, [LOWER, UPPER]), manifest(arm, [LOWER, UPPER]), b"{}"
    inner = index(
        (one, {"platform": {"os": "linux", "architecture": "amd64"}}),
        (other, {"platform": {"os": "linux", "architecture": "arm64"}}),
        (note, {"platform": {"os": "unknown", "architecture": "unknown"}}),
        (b"{not saved}", {"platform": {"os": "linux", "architecture": "s390x"}}),
    )
    blobs = (LOWER, UPPER, CONFIG, arm, one, other, inner)
    path = write(tmp_path / "x.tar", layout(*blobs, index_=index((inner, NAMED))))
    found = Archive(path).images()
    assert [image.platform for image in found] == ["linux/amd64", "linux/arm64"]
    assert {image.names for image in found} == {(APP,)}


def test_layer_that_is_not_there_is_told(tmp_path: Path) -> None:
    entries = docker()
    del entries["b/layer.tar"]
    [image] = Archive(write(tmp_path / "x.tar", entries)).images()
    assert image.lacks == f"the layer {digest(UPPER)[:19]}"


def broken(**more: Entry) -> Callable[[Path], Path]:
    return lambda path: write(path / "x.tar", docker(**more))


def other_config(path: Path) -> Path:
    told = manifest(CONFIG, [LOWER, UPPER])
    entries = layout(LOWER, UPPER, CONFIG, told, index_=index((told, NAMED)))
    return write(path / "x.tar", {**entries, blob(CONFIG): b"{}"})


def other_manifest(path: Path) -> Path:
    told = manifest(CONFIG, [LOWER, UPPER])
    entries = layout(LOWER, UPPER, CONFIG, told, index_=index((told, NAMED)))
    return write(path / "x.tar", {**entries, blob(told): manifest(CONFIG, [UPPER, LOWER])})


def cut(path: Path) -> Path:
    whole = write(path / "x.tar", {**docker(), "z": bytes(20_000)})
    whole.write_bytes(whole.read_bytes()[:19_000])
    return whole


def bare(path: Path, data: bytes) -> Path:
    (path / "x.tar").write_bytes(data)
    return path / "x.tar"


def large_header(path: Path) -> Path:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, HEADER + 1
    return bare(path, member.tobuf(tarfile.GNU_FORMAT) + bytes(HEADER + 1024))


def endless(path: Path) -> Path:
    member = tarfile.TarInfo("manifest.json")
    member.size = 8 * 1024 * 1024
    return bare(path, member.tobuf(tarfile.GNU_FORMAT) + bytes(member.size + 1024))


def fifo(path: Path) -> Path:
    os.mkfifo(path / "x.tar")
    return path / "x.tar"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken(**{"../../etc/cron.d/x": b"*"}), "is a path outside the archive"),
        (broken(**{"/etc/passwd": b"*"}), "is a path outside the archive"),
        (broken(**{"a/layer.tar": link("a/layer.tar", "/etc/shadow")}), "neither a file"),
        (broken(**{"a/layer.tar": link("a/layer.tar", "../../../etc/shadow")}), "neither a file"),
        (broken(**{"a/layer.tar": link("a/layer.tar", "a/layer.tar", b"1")}), "neither a file"),
        (broken(**{"a/layer.tar": link("a/layer.tar", "", tarfile.CHRTYPE)}), "neither a file"),
        (broken(**{"manifest.json": link("manifest.json", "/etc/shadow")}), "neither a file"),
        (broken(**{"manifest.json": b"[[[["}), "cannot be read"),
        (broken(**{"manifest.json": b"[" * 100_000}), "cannot be read"),
        (broken(**{"manifest.json": b'{"a": 1}'}), "cannot be read"),
        (
            broken(**{"manifest.json": listed(["x:1"], ["a/layer.tar"])}),
            "is damaged: its layers",
        ),
        (broken(**{"manifest.json": listed(["x:1"], [], "../up.json")}), "it lacks `"),
        (
            broken(**{"config.json": b'{"rootfs": {"diff_ids": ["a", "b"]}}'}),
            "is damaged: its layers",
        ),
        (broken(**{"../\x1b]0;x\x07": b"*"}), "`../.]0;x.` is a path outside the archive"),
        (
            broken(**{"config.json": config(LOWER, UPPER, arch="\x1b[31m")}),
            "is not a platform",
        ),
        (other_config, "does not have the digest"),
        (other_manifest, "does not have that digest"),
        (cut, "unexpected end of data.: is it complete"),
        (large_header, "larger than 1 MB"),
        (endless, "larger than 4 MB"),
        (fifo, "not a regular file"),
        (lambda path: path, "it is a directory"),
        (lambda path: path / "none.tar", "no such file"),
        (lambda path: bare(path, b""), "cannot be read"),
        (lambda path: bare(path, b"PK\x03\x04 a zip"), "cannot be read"),
        (lambda path: bare(path, b"\x28\xb5\x2f\xfd..."), "zstd"),
        (lambda path: bare(path, b"\x1f\x8b" + b"x" * 100), "cannot be read"),
        (
            lambda path: write(path / "x.tar", {"etc/hosts": b""}),
            "`docker export` does not",
        ),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_unpacked(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(BadArchive, match=re.sub(r"[`\[\]]", ".", said)):
        Archive(path).images()
    assert {each.name for each in tmp_path.iterdir()} <= {"x.tar"}


def test_layer_that_cannot_be_read_to_its_end_ends_the_archive_before_its_list(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "x.tar", docker())
    [image] = Archive(path).images()
    path.write_bytes(path.read_bytes()[:700])
    with os.fdopen(stream({"a:b": image}, missing([image], frozenset())), "rb") as pipe:
        data = pipe.read()
    with pytest.raises(EOFError):
        gzip.decompress(data)


def test_memory_stays_flat_however_large_a_layer_is(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    large = tmp_path / "x.tar"
    zeros = hashlib.sha256(bytes(size)).hexdigest()
    told = json.dumps({"rootfs": {"diff_ids": [f"sha256:{zeros}"]}}).encode()
    with tarfile.open(large, "w") as tar:
        for name, data in (("c.json", told), ("manifest.json", listed(["a:1"], ["l"], "c.json"))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        member = tarfile.TarInfo("l")
        member.size = size
        with open("/dev/zero", "rb") as zero:
            tar.addfile(member, zero)
    tracemalloc.start()
    [image] = Archive(large).images()
    with os.fdopen(stream({"a:1": image}, missing([image], frozenset())), "rb") as pipe:
        while pipe.read(1024 * 1024):
            pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < size / 4


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("acme/app:v1", APP),
        ("index.docker.io/acme/app:v1", APP),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/app:v1", "registry:5000/app:v1"),
        ("registry.example.com/a/b", "registry.example.com/a/b:latest"),
    ],
)
def test_names_of_images(short: str, full: str) -> None:
    assert full_name(short) == full
    assert full_name(short_name(full)) == full
