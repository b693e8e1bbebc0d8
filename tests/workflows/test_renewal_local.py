"""A real base of a signed archive, built without an update: it is built anew, and what stands on it follows."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs
from temporalio.client import Client

from bleen.domain.duration import seconds
from bleen.domain.ledger import BaseRenewed
from bleen.domain.renewal import Timetable
from bleen.providers.local.images import LocalBuilder
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends
from bleen.providers.scanning.scanner import ImageScanner
from bleen.workflows.messages import Started
from tests.fixtures.debian import little_mirror
from tests.providers.local.base_bench import Bench
from tests.providers.scanning.test_fixes import libtool
from tests.workflows.stage import Stage, eventually


@pytest.fixture
async def site(client: Client, tmp_path: Path) -> AsyncIterator[tuple[Stage, Bench]]:
    """A stage whose images and bases are real, and an archive that they are built of."""
    with little_mirror(tmp_path / "recipes") as mirror:
        mirror.offer(libtool("1.0-1"))
        bench, stage = Bench(tmp_path, mirror), Stage(client)
        builder = LocalBuilder(bench.images, bench.bases)
        stage.world = dataclasses.replace(
            stage.world,
            images=bench.images,
            bases=bench.bases,
            builder=builder,
            scanner=ImageScanner(builder, bench.bases),
            fleets=MemoryFleets(bench.images, MemoryBackends(stage.gateways), stage.clock),
        )
        async with stage.working():
            yield stage, bench
            if await stage.control.renewal() is not None:
                await client.get_workflow_handle(f"renewal/{stage.queue}").terminate()


async def test_a_base_without_updates_is_patched_and_the_application_stays_what_it_was(site: tuple[Stage, Bench]) -> None:
    """Though its folder has changed since: that is for whoever deploys it. The pending CVEs are there before, and not after."""
    stage, bench = site
    request = stage.request("1")
    spec = structs.replace(request.spec, image=bench.application()[0])
    started = await stage.control.deploy(structs.replace(request, spec=spec, folder=str(bench.folder), base=bench.order()))
    assert isinstance(started, Started), started
    await eventually(lambda: stage.outcome(started.rollout), "r1 serves", deadline=60)
    await stage.idle()
    (bench.folder / "app/shared-0.txt").write_text("of another commit\n")
    bench.mirror.offer(security=(libtool("1.0-1+deb12u2"),))
    bench.now += timedelta(minutes=1)  # sooner, what the archive signed is not asked for again

    await stage.control.keep_renewing(Timetable(every=seconds(0.5), soak=seconds(0), pause=seconds(0.05)))
    await eventually(lambda: serves(stage, 2), "r2 serves", deadline=60)

    after, before = [await bench.images.find(release.image) for release in await stage.memory.releases(stage.service)]
    assert await bench.images.files(after.digest) == await bench.images.files(before.digest)
    assert (bench.images.tree(after.base) / "usr/lib/libtool.so").read_text() == "tool 1.0-1+deb12u2\n"
    assert await cves(stage, before.digest) == {"CVE-2026-0001", "CVE-2026-0002"}
    assert await cves(stage, after.digest) == set()
    (entry,) = await stage.entries(BaseRenewed)
    assert isinstance(entry.event, BaseRenewed)
    assert [cve for fix in entry.event.renewal.fixes for upload in fix.uploads for cve in upload.cves][-1] == "CVE-2026-0001"
    assert (await bench.build()).digest == after.base, "the lock is that of the new base: the next deployment keeps the fix"


async def serves(stage: Stage, release: int) -> bool:
    return stage.serving == release


async def cves(stage: Stage, digest: str) -> set[str]:
    """Return what a scan of the image finds to be fixed and not applied."""
    return {finding.id for finding in (await stage.world.scanner.scan(digest)).findings if finding.id.startswith("CVE")}
