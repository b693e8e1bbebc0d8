"""Images are built stage by stage by workflows: seen, resumed where they were, and published whole or not at all."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs
from temporalio.client import Client

from bleen.domain.base import HOST, BaseOrder, Recipe, WithoutMirror
from bleen.domain.base import Stage as Told
from bleen.domain.errors import ImageBlocked, StorageFull, Unreachable
from bleen.domain.finding import Finding, Severity, not_checked
from bleen.domain.image import Image, Pypi
from bleen.domain.pipeline import Carried
from bleen.domain.policy import Gated, Policy, Waiver
from bleen.providers.local.images import LocalBuilder
from bleen.providers.memory.builder import BASE_STAGES, MemoryBuilder
from bleen.providers.scanning.scanner import ImageScanner
from bleen.workflows.messages import BuildRequest, Refused, Started
from tests.fixtures.debian import little_mirror
from tests.fixtures.engine import RunningEngine
from tests.providers.local.base_bench import Bench
from tests.workflows.builders import builder
from tests.workflows.stage import ENVIRONMENT, Stage, eventually

HOLE = Finding("CVE-2026-1", Severity.CRITICAL, "a hole", "libfoo", "1.0", "1.1", fix="use libfoo 1.1")
LOGIN = Finding("empty-password", Severity.CRITICAL, "the account ann needs no password", where="etc/passwd", fix="lock it")
GATES = ("scan", "compliance", "publish")
ALL = ("inputs", *BASE_STAGES, *GATES, "application")


def base(**changes: object) -> BaseOrder:
    return BaseOrder(Recipe(**{"image": "little", "suite": "bookworm", "packages": ("tool",), **changes}), "/nowhere")  # type: ignore[arg-type]


def wanted(stage: Stage, version: str = "1", **changes: object) -> BuildRequest:
    request = BuildRequest(stage.service, "/nowhere", Pypi("hello", version), base(), by="ada")
    return structs.replace(request, **changes)


async def built(stage: Stage, request: BuildRequest) -> tuple[Image, list[Told]]:
    told: list[Told] = []
    return await stage.control.build(request, told.append), told


class Holding(MemoryBuilder):
    """A builder whose stage ``held`` takes until ``go`` is set."""

    held = ""

    def __init__(self, builder: MemoryBuilder) -> None:
        self.__dict__.update(builder.__dict__)
        self.go = asyncio.Event()

    async def carry_out(self, key: str, stage: str) -> Carried:
        if stage == self.held:
            await self.go.wait()
        return await super().carry_out(key, stage)


@pytest.fixture
async def held(client: Client) -> AsyncIterator[tuple[Stage, Holding]]:
    """A stage whose builder can be held."""
    stage = Stage(client)
    holding = Holding(stage.builder)
    stage.world = dataclasses.replace(stage.world, builder=holding)
    async with stage.working():
        yield stage, holding


# ---- what is seen ----


async def test_every_stage_is_told_in_its_order(stage: Stage) -> None:
    """The base through its gates, and then the application through its own."""
    image, told = await built(stage, wanted(stage))
    assert [one.name for one in told] == [*BASE_STAGES, *GATES, "application", *GATES]
    assert not any(one.cached for one in told)
    assert await stage.images.verify(image.digest) and image.base.startswith("sha256:")


async def test_what_was_built_before_is_told_as_cached(stage: Stage) -> None:
    """Neither built nor gated again, where nothing is released."""
    first, _ = await built(stage, wanted(stage))
    again, told = await built(stage, wanted(stage))
    assert again == first
    assert [(one.name, one.cached) for one in told] == [("base", True), ("application", True)]


async def test_a_build_under_way_shows_its_stage(held: tuple[Stage, Holding]) -> None:
    """Whoever asks sees the stages that ended and the one that runs, of deployments too; nothing afterwards."""
    stage, holding = held
    holding.held = "patches"
    request = structs.replace(stage.request("1"), base=base())
    deploying = asyncio.create_task(stage.control.deploy(request))

    async def patching() -> bool:
        return [one.running for one in await stage.control.builds()] == ["patches"]

    await eventually(patching, "the patches are under way")
    (building,) = await stage.control.builds()
    assert (building.name, building.environment, building.deploys) == (stage.service, ENVIRONMENT, True)
    assert [one.name for one in building.ended] == ["fetch", "base", "hardening"]
    assert building.since is not None
    holding.go.set()
    assert isinstance(await deploying, Started)
    assert await stage.control.builds() == []


async def test_two_who_ask_for_one_image_are_one_build(held: tuple[Stage, Holding]) -> None:
    """The second one joins the first, and each stage is carried out once."""
    stage, holding = held
    holding.held = "base"
    asked = [asyncio.create_task(built(stage, wanted(stage, by=who))) for who in ("ada", "bob", "cy")]
    await asyncio.sleep(1)
    holding.go.set()
    images = [(await each)[0] for each in asked]
    assert images == [images[0]] * 3
    assert set(Counter(holding.carried).values()) == {1}


# ---- the gates ----


@pytest.mark.parametrize(("stage_name", "finding"), [("scan", HOLE), ("compliance", LOGIN)])
async def test_a_blocked_image_is_not_published(stage: Stage, stage_name: str, finding: Finding) -> None:
    """Not by a build and not by a deployment: no image is there to start from. The refusal names finding, package and fix."""
    (stage.scanner.find if stage_name == "scan" else stage.scanner.break_rules)("1", finding)
    request = wanted(stage, base=None)
    with pytest.raises(ImageBlocked, match=finding.id) as caught:
        await built(stage, request)
    assert finding.package in caught.value.what and finding.fix in caught.value.next
    deployed = await stage.deploy("1")
    assert isinstance(deployed, Refused) and finding.id in deployed.what
    assert list(await stage.images.list()) == []
    gates = [entry.event for entry in await stage.entries(Gated)]
    assert gates and all(isinstance(gate, Gated) and gate.blocking == (finding,) for gate in gates)


async def test_a_blocked_base_lets_nothing_be_built_on_it(stage: Stage) -> None:
    """The application is not even begun."""
    stage.scanner.find("1", HOLE)
    with pytest.raises(ImageBlocked, match="little may not be released"):
        await built(stage, wanted(stage, "2"))
    assert list(await stage.images.list()) == [] and "application" not in stage.builder.carried


async def test_what_was_blocked_is_not_built_again_when_it_is_let_through(stage: Stage) -> None:
    """Its candidate is there: only the gates and the publication are left. Who let it through is in the ledger."""
    stage.scanner.find("1", HOLE)
    request = wanted(stage, base=None)
    with pytest.raises(ImageBlocked):
        await built(stage, request)
    waiver = Waiver(finding=HOLE.id, owner="ann", reason="not reachable", expires="2999-12-31")
    image, told = await built(stage, structs.replace(request, policy=Policy(waivers=(waiver,))))
    assert [(one.name, one.cached) for one in told] == [("application", True), *((gate, False) for gate in GATES)]
    assert list(await stage.images.list()) == [image]
    last = (await stage.entries(Gated))[-1].event
    assert isinstance(last, Gated) and last.allowed and last.waived[0].waiver == waiver


async def test_the_gates_of_a_release_know_both_kinds_of_findings(stage: Stage) -> None:
    """One entry in the ledger has what the scan and what the compliance found, waived or not checked."""
    unknown = not_checked("the operating system", "it is the machine's own", "patch the machine", "host")
    stage.scanner.find("1", HOLE, unknown)
    stage.scanner.break_rules("1", LOGIN)
    waivers = tuple(Waiver(finding=f.id, owner="ann", reason="known", expires="2999-12-31") for f in (HOLE, LOGIN))
    request = structs.replace(stage.request("1"), policy=Policy(waivers=waivers))
    assert isinstance(await stage.control.deploy(request), Started)
    (entry,) = await stage.entries(Gated)
    assert isinstance(entry.event, Gated) and entry.service == stage.service
    assert {waived.finding.id for waived in entry.event.waived} == {HOLE.id, LOGIN.id}
    assert entry.event.not_checked == (unknown.what,)


# ---- what is wrong outside ----


async def test_a_full_disk_is_told_and_nothing_is_published(stage: Stage) -> None:
    """After some attempts: room may be made meanwhile."""
    stage.images.fill()
    with pytest.raises(StorageFull):
        await built(stage, wanted(stage, base=None))
    assert list(await stage.images.list()) == []


async def test_without_a_mirror_the_recipe_decides(stage: Stage) -> None:
    """Refused, or built on the machine's own system, which is said."""
    stage.bases.take_mirror()
    with pytest.raises(Unreachable):
        await built(stage, wanted(stage))
    image, told = await built(stage, wanted(stage, base=base(without_mirror=WithoutMirror.HOST)))
    assert image.base == HOST and told[0].detail.startswith("host-based, because there is no mirror")


# ---- what a death leaves ----


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_controller_that_is_killed_at_every_stage_goes_on(
    engine: RunningEngine, away: tuple[Stage, Path], tmp_path: Path, moment: str
) -> None:
    """SIGKILL in each stage of one deployment, with real images: nothing is half-published, no earlier stage repeated."""
    stage, socket = away
    with little_mirror(tmp_path / "recipes") as mirror:
        bench = Bench(tmp_path, mirror)
        request = stage.request("1")
        spec = structs.replace(request.spec, image=structs.replace(bench.application()[0], base="little"))
        request = structs.replace(request, spec=spec, folder=str(bench.folder), base=bench.order())
        deploying = asyncio.create_task(stage.control.deploy(request))
        for name in ("inputs", *BASE_STAGES, "scan", "compliance", "publish", "application"):
            async with builder(engine.address, stage.queue, socket, bench.home, (name, moment)) as process:
                async with asyncio.timeout(60):
                    assert await process.stdout.readline() == b"stopped\n", name
                process.kill()
            await check_whole(bench, at_most=int(name in ("publish", "application")))
        stage.world = dataclasses.replace(stage.world, images=bench.images)
        async with builder(engine.address, stage.queue, socket, bench.home, ("never", "")):
            async with asyncio.timeout(60):
                began = await deploying
    assert isinstance(began, Started), began
    await bench.images.verify(began.release.image)
    begun = Counter((bench.home.with_name("stages")).read_text().split())
    # Once killed in it and once to its end; `inputs` of the application, and the gates of both images, come on top.
    most = {"inputs": 4, "scan": 4, "compliance": 4, "publish": 4}
    assert all(count <= most.get(name, 2) for name, count in begun.items()), begun


async def check_whole(bench: Bench, at_most: int) -> None:
    """Every image that is there is whole and signed."""
    images = await bench.images.list()
    assert len(images) <= at_most, [image.name for image in images]
    for image in images:
        await bench.images.verify(image.digest)


async def test_a_real_candidate_that_is_blocked_can_be_scanned_and_not_started(client: Client, tmp_path: Path) -> None:
    """By its whole digest, which the refusal names; `verify`, without which nothing starts, knows no such image."""
    with little_mirror(tmp_path / "recipes") as mirror:
        bench, stage = Bench(tmp_path, mirror), Stage(client)
        real = LocalBuilder(bench.images, bench.bases)
        scanner = ImageScanner(real, bench.bases)
        stage.world = dataclasses.replace(stage.world, images=bench.images, bases=bench.bases, builder=real, scanner=scanner)
        source, folder = bench.application()
        key = f"-----BEGIN PRIVATE KEY-----\n{'MIGHAgEAMBMGByqGSM49' * 3}\n-----END PRIVATE KEY-----\n"
        (Path(folder) / "app/server.key").write_text(key)
        async with stage.working():
            with pytest.raises(ImageBlocked, match="private-key") as caught:
                await built(stage, BuildRequest("hello", folder, source))
        digest = next(word for word in caught.value.next.split() if word.startswith("sha256:"))
        assert "private-key" in {finding.id for finding in (await scanner.scan(digest)).findings}
        assert list(await bench.images.list()) == []
        with pytest.raises(Exception, match="there is no image"):
            await bench.images.verify(digest)
