"""Security updates that are there and not applied: a base of our own small archive, and what a scan says of it."""

import gzip
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bleen.domain.finding import Scan, Severity
from bleen.domain.image import Image
from bleen.domain.inventory import Kind, Package
from bleen.domain.patching import Patching
from bleen.providers.scanning.fixes import check_fixes
from bleen.providers.scanning.scanner import ImageScanner
from tests.fixtures.debian import Deb, little_mirror
from tests.providers.local.base_bench import Bench

CHANGELOG = """\
tools (1.0-1+deb12u2) bookworm-security; urgency=high

  * CVE-2026-0002: the second hole. Closes the rest of CVE-2026-0001.

 -- Ann <ann@example.org>  Fri, 20 Feb 2026 10:00:00 +0000

tools (1.0-1+deb12u1) bookworm-security; urgency=medium

  * CVE-2026-0001: the first hole.

 -- Ann <ann@example.org>  Mon, 02 Feb 2026 10:00:00 +0000

tools (1.0-1) unstable; urgency=medium

  * CVE-2020-9999: fixed long ago.

 -- Ann <ann@example.org>  Wed, 01 Jan 2020 10:00:00 +0000

tools (0.1-1) unstable; urgency=low

  * First.

 -- Ann <ann@example.org>  when it was
"""


def libtool(version: str, *, source: str = "tools", changelog: str = CHANGELOG) -> Deb:
    """Return a package of the source ``tools``."""
    data = gzip.compress(changelog.encode(), mtime=0)
    files = {"usr/lib/libtool.so": f"tool {version}\n"}
    return Deb("libtool", version, {"Source": source}, files, data_files={"usr/share/doc/libtool/changelog.Debian.gz": data})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An archive that has one security update of what bases have."""
    with little_mirror(tmp_path / "recipes") as mirror:
        mirror.offer(libtool("1.0-1"))
        yield Bench(tmp_path, mirror)


async def unpatched(bench: Bench, version: str = "1.0-1+deb12u2", **changes: str) -> Image:
    """Return a base that was built before the update came."""
    base = await bench.build()
    bench.mirror.offer(security=(libtool(version, **changes),))
    return base


async def scan(bench: Bench, image: Image) -> Scan:
    return await ImageScanner(bench.images, bench.bases).scan(image.digest)


async def test_what_is_fixed_and_not_applied_is_found(bench: Bench) -> None:
    """Each CVE once, with the upload that fixed it first, its day and its urgency; what was installed fixed is not."""
    found = await scan(bench, await unpatched(bench))
    updates = {f.id: (f.severity, f.fixed, f.what) for f in found.findings if f.package == "tools"}
    assert updates == {
        "CVE-2026-0001": (Severity.MEDIUM, "1.0-1+deb12u1", "fixed on 2026-02-02 and not applied"),
        "CVE-2026-0002": (Severity.HIGH, "1.0-1+deb12u2", "fixed on 2026-02-20 and not applied"),
    }
    assert "the suite that was signed at 2026-03-01 12:00 UTC" in next(c.looked_at for c in found.checks if c.name == "updates")


async def test_an_application_lacks_what_its_base_lacks(bench: Bench) -> None:
    """What runs is both."""
    base = await unpatched(bench)
    source, folder = bench.application()
    image = await bench.images.build("app", source, Path(folder), base.digest)
    assert "CVE-2026-0002" in {finding.id for finding in (await scan(bench, image)).findings}


async def test_a_patched_image_lacks_nothing(bench: Bench) -> None:
    """Half patched, it lacks what came since, with all that its entry names."""
    await unpatched(bench, "1.0-1+deb12u1")
    half = await bench.build(upgrade=True)
    bench.mirror.offer(security=(libtool("1.0-1+deb12u2"),))
    assert [f.id for f in (await scan(bench, half)).findings if f.package] == ["CVE-2026-0001", "CVE-2026-0002"]
    assert not [f for f in (await scan(bench, await bench.build(upgrade=True))).findings if f.package]


async def test_a_package_of_another_version_than_its_source_is_compared_by_its_source(bench: Bench) -> None:
    """`2:1.0-1` of the source 1.0-1 lacks both uploads, though its own number is larger than theirs."""
    bench.mirror.offer(libtool("2:1.0-1", source="tools (1.0-1)"))
    base = await unpatched(bench, "2:1.0-1+deb12u2", source="tools (1.0-1+deb12u2)")
    assert [f.id for f in (await scan(bench, base)).findings if f.package] == ["CVE-2026-0002", "CVE-2026-0001"]


async def test_an_update_that_tells_nothing_is_a_finding_too(bench: Bench) -> None:
    """Without a changelog, under the name of its version."""
    found = await scan(bench, await unpatched(bench, changelog="what is this"))
    assert [f.id for f in found.findings if f.package] == ["update-tools-1.0-1+deb12u2"]


async def test_what_cannot_change_is_read_once(bench: Bench) -> None:
    """A scan within the same minute asks the archive nothing; a later one what it signed since, and for nothing else."""
    base = await unpatched(bench)
    first = await scan(bench, base)
    bench.mirror.asked.clear()
    assert (await scan(bench, base)).findings == first.findings
    assert bench.mirror.asked == []
    bench.now += timedelta(minutes=1)
    assert (await scan(bench, base)).findings == first.findings
    assert bench.mirror.asked == ["dists/bookworm-security/InRelease"]


@pytest.mark.parametrize(("part", "trouble"), [("InRelease", "not signed"), ("Packages", "lies"), ("pool/", "lies"), ("", "")])
async def test_a_mirror_that_cannot_be_believed_has_checked_nothing(bench: Bench, part: str, trouble: str) -> None:
    """Gone, unsigned, with an index or a package that is not what was signed: never `no findings`."""
    base = await unpatched(bench)
    bench.mirror.spoil = lambda path, data: bytes(reversed(data)) if part and part in path else data if part else None
    found = await scan(bench, base)
    (finding,) = [finding for finding in found.findings if finding.id == "not-checked-updates"]
    assert finding.severity is Severity.NOT_CHECKED and finding.fix and trouble in finding.what
    assert "updates" not in {check.name for check in found.checks}


def test_packages_of_nobodys_base_are_not_checked() -> None:
    """An archive with a whole system in it."""
    package = Package(Kind.DEB, "libfoo", "1.0", "var/lib/dpkg/status", source="foo", source_version="1.0")
    (finding,) = check_fixes((package,), Patching(base="host")).findings
    assert finding.severity is Severity.NOT_CHECKED and "no base that Bleen has built" in finding.what
