"""Images of archives: every way to carry an application, and every way to do harm with one."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bleen.domain.errors import BuildFailed, ImageRejected
from bleen.domain.image import Archive, Directory
from bleen.providers.local.images.tree import hash_file
from tests.providers.local.image_bench import LocalBench, leftovers, local_bench, write_app


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


def open_tar(path: Path, mode: Any) -> tarfile.TarFile:
    return tarfile.open(path, mode)


def make_tar(path: Path, *members: tarfile.TarInfo, content: bytes = b"hello\n", mode: str = "w") -> Path:
    with open_tar(path, mode) as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, target, mode
    return found


def make_zip(path: Path, name: str, *, mode: int = stat.S_IFREG | 0o644, text: str = "hello\n") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good\n")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, text)
    return path


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
async def test_every_format_makes_the_image_of_the_folder(bench: LocalBench, ending: str) -> None:
    """What is packed is what is unpacked, executables and links included."""
    app = write_app(bench.folder / "app")
    (app / "tool").write_text("#!/bin/sh\n")
    (app / "tool").chmod(0o755)
    if ending != "zip":
        (app / "link").symlink_to("tool")
    archive = bench.folder / f"app.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in app.iterdir():
                zipped.write(path, path.name)
    else:
        with open_tar(archive, f"w:{ending.partition('.')[2]}") as tarred:
            tarred.add(app, ".")
    packed = await bench.images.build("hello", Archive(archive.name, digest=hash_file(archive)), bench.folder)
    folder = await bench.images.build("hello", Directory("app"), bench.folder)
    assert packed.digest == folder.digest
    await bench.images.verify(packed.digest)


async def test_a_hard_link_is_a_copy(bench: LocalBench) -> None:
    """Of a member before it, and of nothing else."""
    make_tar(bench.folder / "app.tar", member("a"), member("b", tarfile.LNKTYPE, target="a"))
    image = await bench.images.build("hello", Archive("app.tar"), bench.folder)
    files = await bench.images.files(image.digest)
    assert [(file.path, file.digest) for file in files] == [("a", files[0].digest), ("b", files[0].digest)]


HOSTILE = {
    "absolute": (member("/etc/bleen-was-here"),),
    "parent": (member("../outside"),),
    "parent-inside": (member("a/../../outside"),),
    "link-absolute": (member("a", tarfile.SYMTYPE, target="/etc/passwd"),),
    "link-out": (member("deep/a", tarfile.SYMTYPE, target="../../outside"),),
    "hard-link-absolute": (member("a", tarfile.LNKTYPE, target="/etc/passwd"),),
    "hard-link-out": (member("a", tarfile.LNKTYPE, target="../outside"),),
    "hard-link-nowhere": (member("a", tarfile.LNKTYPE, target="nothing"),),
    "character-device": (member("a", tarfile.CHRTYPE),),
    "block-device": (member("a", tarfile.BLKTYPE),),
    "pipe": (member("a", tarfile.FIFOTYPE),),
    "setuid": (member("a", mode=0o4755),),
    "setgid": (member("a", mode=0o2755),),
    "through-a-link": (member("a", tarfile.SYMTYPE, target="b"), member("a/outside")),
    "link-over-file": (member("a"), member("a", tarfile.SYMTYPE, target="b")),
    "two-links": (member("a", tarfile.SYMTYPE, target="b"), member("a", tarfile.SYMTYPE, target="c")),
    "twice": (member("a"), member("a")),
    "file-and-folder": (member("a"), member("a/b")),
    "link-by-link": (
        member("p/q/top", tarfile.SYMTYPE, target="../.."),
        member("a", tarfile.SYMTYPE, target="p/q/top/../outside"),
    ),
    "backslash": (member("..\\outside"),),
}


def escaped() -> bool:
    return os.path.lexists("/etc/bleen-was-here")


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_member_is_refused_by_name(bench: LocalBench, name: str) -> None:
    """Nothing is written outside, nothing is published, and the message names the member and the reason."""
    make_tar(bench.folder / "app.tar", member("good.txt"), *HOSTILE[name])
    before = sorted(path for path in bench.folder.rglob("*") if "home" not in path.parts)
    with pytest.raises(BuildFailed) as caught:
        await bench.images.build("hello", Archive("app.tar"), bench.folder)
    assert any(part.name in str(caught.value) or repr(part.name) in str(caught.value) for part in HOSTILE[name])
    assert caught.value.why
    assert sorted(path for path in bench.folder.rglob("*") if "home" not in path.parts) == before
    assert not escaped()
    assert leftovers(bench.home) == []
    assert list(await bench.images.list()) == []


ZIPPED = {
    "absolute": ("/etc/bleen-was-here", stat.S_IFREG | 0o644, ""),
    "parent": ("../outside", stat.S_IFREG | 0o644, ""),
    "link-out": ("a", stat.S_IFLNK | 0o777, "../outside"),
    "link-absolute": ("a", stat.S_IFLNK | 0o777, "/etc/passwd"),
    "device": ("a", stat.S_IFCHR | 0o644, ""),
    "setuid": ("a", stat.S_IFREG | 0o4755, ""),
}


@pytest.mark.parametrize("name", ZIPPED)
async def test_a_hostile_zip_is_refused_by_name(bench: LocalBench, name: str) -> None:
    """The same rules, whatever the format."""
    path, mode, text = ZIPPED[name]
    make_zip(bench.folder / "app.zip", path, mode=mode, text=text)
    with pytest.raises(BuildFailed, match=path):
        await bench.images.build("hello", Archive("app.zip"), bench.folder)
    assert leftovers(bench.home) == []


async def test_another_archive_than_asked_for_is_rejected(bench: LocalBench) -> None:
    """The digest in the service file is the one that counts."""
    path = make_tar(bench.folder / "app.tar", member("a"))
    with pytest.raises(ImageRejected, match="digest") as caught:
        await bench.images.build("hello", Archive("app.tar", digest=f"sha256:{0:064x}"), bench.folder)
    assert hash_file(path) in caught.value.why


@pytest.mark.parametrize("ending", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
async def test_a_broken_archive_is_refused(bench: LocalBench, ending: str) -> None:
    """Cut short, or with bytes changed: it fails, and nothing is published."""
    content = os.urandom(100_000)
    path = bench.folder / f"app.{ending}"
    if ending == "zip":
        make_zip(path, "a", text=content.hex())
    else:
        make_tar(path, member("a"), content=content, mode=f"w:{ending.partition('.')[2]}")
    whole = path.read_bytes()
    middle = len(whole) // 2
    for broken in (whole[:middle], whole[:middle] + bytes(50) + whole[middle + 50 :], b"", b"no archive at all"):
        path.write_bytes(broken)
        with pytest.raises(BuildFailed, match="app"):
            await bench.images.build("hello", Archive(path.name), bench.folder)
    assert list(await bench.images.list()) == []
    assert leftovers(bench.home) == []


async def test_an_archive_that_is_not_there_fails_by_name(bench: LocalBench) -> None:
    """The message says what to correct."""
    with pytest.raises(BuildFailed, match=r"app\.tar") as caught:
        await bench.images.build("hello", Archive("app.tar"), bench.folder)
    assert "image.path" in caught.value.next
