"""Security updates that are there and not applied: the machine's real apt, on a small archive of our own."""

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bleen.domain.finding import Severity
from bleen.domain.inventory import Kind, Package
from bleen.providers.scanning.updates import check_updates

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="needs apt and dpkg (Debian)"
)
CHANGELOG = """\
foo (1.0-1+deb12u2) bookworm-security; urgency=high

  * CVE-2026-0002: the second hole. Closes the rest of CVE-2026-0001.

 -- Ann <ann@example.org>  Fri, 20 Nov 2026 10:00:00 +0000

foo (1.0-1+deb12u1) bookworm-security; urgency=medium

  * CVE-2026-0001: the first hole.

 -- Ann <ann@example.org>  Mon, 02 Nov 2026 10:00:00 +0000

foo (1.0-1) unstable; urgency=medium

  * CVE-2020-9999: fixed long ago.

 -- Ann <ann@example.org>  Wed, 01 Jan 2020 10:00:00 +0000
"""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """The address of an archive, whose files are put into its folder by the test."""
    (tmp_path / "archive").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "archive"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def machine(archive: str, tmp_path: Path) -> Path:
    """A machine whose apt knows an archive with one security update."""
    folder, root = tmp_path / "archive", tmp_path / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: libfoo\nSource: foo\nVersion: 1.0-1+deb12u2\nArchitecture: all\n"
        "Maintainer: Ann <ann@example.org>\nDescription: x\n"
    )
    (root / "usr/share/doc/libfoo").mkdir(parents=True)
    (root / "usr/share/doc/libfoo/changelog.Debian").write_text(CHANGELOG)
    subprocess.run(("gzip", "-9n", root / "usr/share/doc/libfoo/changelog.Debian"), check=True)
    suite = folder / "dists/bookworm-security"
    (suite / "main/binary-amd64").mkdir(parents=True)
    subprocess.run(("dpkg-deb", "--build", "--root-owner-group", root, folder / "libfoo.deb"), check=True, capture_output=True)
    data = (folder / "libfoo.deb").read_bytes()
    index = f"{(root / 'DEBIAN/control').read_text()}Filename: ./libfoo.deb\nSize: {len(data)}\nSHA256: {digest(data)}\n"
    for name in ("binary-amd64", "binary-arm64"):
        (suite / "main" / name).mkdir(exist_ok=True)
        (suite / "main" / name / "Packages").write_text(index)
    listed = "".join(
        f" {digest(index.encode())} {len(index)} main/{name}/Packages\n" for name in ("binary-amd64", "binary-arm64")
    )
    (suite / "Release").write_text(
        "Suite: bookworm-security\nCodename: bookworm-security\nArchitectures: amd64 arm64\nComponents: main\n"
        f"Date: Fri, 20 Nov 2026 12:00:00 UTC\nSHA256:\n{listed}"
    )
    apt = tmp_path / "apt"
    apt.mkdir()
    (apt / "sources.list").write_text(
        f"deb [trusted=yes] {archive} bookworm-security main\ndeb http://127.0.0.1:1/debian bookworm main\n"
    )
    return apt


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def installed(version: str) -> tuple[Package, ...]:
    return (Package(Kind.DEB, "libfoo", version, "var/lib/dpkg/status", source="foo", source_version=version),)


def test_what_is_fixed_and_not_applied_is_found(machine: Path, tmp_path: Path) -> None:
    """Each CVE once, with the upload that fixed it first, its day and its urgency; what was installed fixed is not."""
    report = check_updates(installed("1.0-1"), "bookworm", tmp_path / "scanner", machine)
    found = {f.id: (f.severity, f.fixed, f.what) for f in report.findings}
    assert found == {
        "CVE-2026-0001": (Severity.MEDIUM, "1.0-1+deb12u1", "fixed on 2026-11-02 and not applied"),
        "CVE-2026-0002": (Severity.HIGH, "1.0-1+deb12u2", "fixed on 2026-11-20 and not applied"),
    }
    assert "there and not applied, by bookworm-security of Fri, 20 Nov 2026 12:00:00 UTC" in report.checks[0].looked_at


def test_a_patched_image_lacks_nothing(machine: Path, tmp_path: Path) -> None:
    """Half patched, it lacks half."""
    assert check_updates(installed("1.0-1+deb12u2"), "bookworm", tmp_path / "scanner", machine).findings == ()
    half = check_updates(installed("1.0-1+deb12u1"), "bookworm", tmp_path / "scanner", machine)
    assert [finding.id for finding in half.findings] == ["CVE-2026-0001", "CVE-2026-0002"]


def test_what_was_read_is_not_asked_for_again(machine: Path, tmp_path: Path) -> None:
    """For an hour the index, and for ever the changelog: the next scan needs no mirror."""
    first = check_updates(installed("1.0-1"), "bookworm", tmp_path / "scanner", machine)
    shutil.rmtree(tmp_path / "archive")
    assert check_updates(installed("1.0-1"), "bookworm", tmp_path / "scanner", machine) == first


@pytest.mark.parametrize("change", ["gone", "unsigned", "lying", "unknown"])
def test_a_mirror_that_cannot_be_believed_has_checked_nothing(machine: Path, tmp_path: Path, change: str) -> None:
    """Gone, unsigned, with a package that is not what its index says, or without the suite: never `no findings`."""
    sources = machine / "sources.list"
    match change:
        case "gone":
            shutil.rmtree(tmp_path / "archive")
        case "unsigned":
            sources.write_text(sources.read_text().replace("[trusted=yes] ", ""))
        case "lying":
            (tmp_path / "archive/libfoo.deb").write_bytes(b"x" * (tmp_path / "archive/libfoo.deb").stat().st_size)
        case _:
            sources.write_text("")
    report = check_updates(installed("1.0-1"), "bookworm", tmp_path / "scanner", machine)
    (finding,) = report.findings
    assert finding.severity is Severity.NOT_CHECKED and finding.fix and not report.checks
