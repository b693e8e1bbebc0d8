"""Images: from nothing, again, after a change; what a patch moves; how soon an instance answers. Peers build the same."""

import asyncio
import http.client
import os
import shutil
import subprocess
import tarfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from msgspec import structs

from bench.report import Report, Row
from bench.scale import Yes
from bench.stage import example
from bleen.domain.base import BaseOrder, Patches, WithoutMirror
from bleen.domain.errors import BuildFailed
from bleen.domain.image import Directory, Image
from bleen.domain.pipeline import OfBase
from bleen.domain.policy import judge
from bleen.interfaces.repository import LoadedService, find_recipe
from bleen.interfaces.repository.examples import examples_folder
from bleen.interfaces.repository.policy import load_policy
from bleen.providers import openscap
from bleen.providers.debian.apt import archive_of
from bleen.providers.local.ground import Ground, ground_of
from bleen.providers.local.images import LocalBases, LocalBuilder, LocalImages
from bleen.providers.local.images.chroot import refuse_without_tools, search_of
from bleen.providers.local.images.tools import Tools
from bleen.providers.local.sandbox import Level, probe_isolation, wrap
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.memory.metrics import MemoryMetrics
from bleen.providers.memory.notices import MemoryNotices
from bleen.providers.scanning.scanner import ImageScanner
from bleen.workflows.building import Pipeline
from bleen.workflows.messages import BuildRequest
from bleen.workflows.workshop import Workshop
from bleen.workflows.world import World

STARTS = 10
PATIENCE = 1200.0
"""Seconds for one peer: debootstrap takes minutes."""
MB = 1e6
ADDRESS, PORT = "127.0.0.9", 8931


@dataclass
class Site:
    """A home, and what builds there."""

    home: Path
    order: BaseOrder

    def __post_init__(self) -> None:
        self.images, self.bases = LocalImages(self.home), LocalBases(self.home)
        gateways, builder = MemoryGateways(), LocalBuilder(self.images, self.bases)
        self.builder = builder
        self.world = World(
            images=self.images,
            bases=self.bases,
            fleets=MemoryFleets(self.images, MemoryBackends(gateways)),
            gateway=MemoryGateway(gateways),
            ledger=MemoryLedger(),
            prober=Yes(),
            metrics=MemoryMetrics(),
            notices=MemoryNotices(),
            scanner=ImageScanner(builder, self.bases),
            builder=builder,
            regions=("local",),
        )

    async def build(self, folder: Path) -> Image:
        """Return the image of the service in ``folder``, on its base: every stage and both gates, as workflows do."""
        source = Directory(path="app", requirements="requirements.txt")
        request = BuildRequest("hello", str(folder), source, self.order)
        return await Pipeline(Workshop(self.world), self.world.clock).build(request)


async def timed(doing: Callable[[], object]) -> tuple[float, object]:
    """Return how many seconds it took, and what came of it."""
    began = time.perf_counter()
    result = doing()
    if asyncio.iscoroutine(result):
        result = await result
    return time.perf_counter() - began, result


async def _built(site: Site, app: Path) -> tuple[list[float], Image, Image]:
    """Return the seconds from nothing, unchanged, and with a changed application; and the first and the last image."""
    nothing, first = await timed(lambda: site.build(app))
    unchanged = [(await timed(lambda: site.build(app)))[0] for _ in range(3)]
    with (app / "app/server.py").open("a") as program:
        program.write("\n# changed\n")
    changed, last = await timed(lambda: site.build(app))
    assert isinstance(first, Image) and isinstance(last, Image)
    return [nothing, median(unchanged), changed], first, last


async def _moved(site: Site) -> tuple[float, int, int]:
    """Return the megabytes that a patch-only rebuild moves, compressed file by file, and the fixes pending before and after."""
    bare = structs.replace(site.order.recipe, image="unpatched", patches=Patches.NONE)
    before = await site.bases.build(BaseOrder(bare, site.order.folder), lambda stage: None)
    after = await site.bases.build(site.order, lambda stage: None)
    known = {file.digest for file in await site.images.files(before.digest)}
    tree = site.images.tree(after.digest)
    new = {f.digest: f.path for f in await site.images.files(after.digest) if f.digest not in known and not f.link}
    size = sum(len(zlib.compress((tree / path).read_bytes(), 6)) for path in new.values())
    pending = [len((await site.bases.patching(image.digest)).fixes) for image in (before, after)]
    return size / MB, pending[0], pending[1]


# ---- a hardened system ----


async def _hardened(folder: Path) -> list[Row]:
    """Return how long a hardened system of the full builder takes, and which rules of CIS level 1 it does not keep."""
    tools, where = Tools(), folder / "hardened"
    try:
        refuse_without_tools(tools)
        openscap.content(search_of(tools))
    except BuildFailed as error:
        return [Row(f"a hardened system: {error.what}", None, "s")]
    examples = examples_folder() / "hardened"
    site = Site(where / "home", BaseOrder(find_recipe(examples, "debian-cis").recipe, str(where)))
    seconds, image = await timed(lambda: carried_out(site))
    assert isinstance(image, Image)
    found = openscap.read_compliance(site.builder.rules(image.digest) or where)
    broken = (await site.world.scanner.comply(image.digest)).findings
    judgement = judge(broken, load_policy(examples), "production", site.world.clock().date())
    return [
        Row("a hardened system of the full builder, from nothing", round(seconds), "s"),
        Row("rules of CIS level 1 not kept, before hardening", len(found.before.failed), "rules"),
        Row("rules of CIS level 1 not kept, after hardening", len(found.after.failed), "rules", "lower", 29),
        Row("  for which nobody answers", len(judgement.blocking) + len(judgement.open), "rules", "lower", 0),
    ]


async def carried_out(site: Site) -> Image:
    """Return the base of a site, made stage by stage."""
    digest, plan = "", await site.builder.begin(OfBase(site.order))
    for stage in plan.stages:
        digest = (await site.builder.carry_out(plan.key, stage)).candidate or digest
    return await site.builder.publish(plan.key, digest)


# ---- instances ----


def _ground(site: Site, image: Image, level: Level, files: Path) -> Ground:
    base = site.images.tree(image.base) if image.base != "host" else None
    return ground_of(image, site.images.tree(image.digest), base, files, level)


def _environment(ground: Ground) -> dict[str, str]:
    own = {"BLEEN_SERVICE": "hello", "BLEEN_RELEASE": "r1", "BLEEN_COLOUR": "blue", "BLEEN_INSTANCE": "hello-1"}
    return {**ground.env, **own, "BLEEN_ADDRESS": ADDRESS, "BLEEN_PORT": str(PORT), "HOME": "/tmp", "TMPDIR": "/tmp"}


def _first_answer(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Return the seconds from the start of a process to its first 200."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers():
            assert process.poll() is None, f"{argv[0]} ended with {process.returncode}"
            time.sleep(0.001)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _answers() -> bool:
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _starts(site: Site, based: Image, plain: Image, level: Level) -> tuple[float, float]:
    """Return the median seconds to the first answer: on the base in its sandbox, and as a plain process; taken in turns."""
    sandboxed, process = _ground(site, based, level, site.home), _ground(site, plain, level, site.home)
    inside = ("python", f"{sandboxed.app}/server.py")
    argv = wrap(inside, bwrap=level.bwrap, hostname="bench", shown=sandboxed.shown, base=sandboxed.base, cwd="/app")
    outside = (f"{process.app}/.runtime/bin/python", f"{process.app}/server.py")
    pairs = [
        (_first_answer(argv, _environment(sandboxed)), _first_answer(outside, _environment(process))) for _ in range(STARTS)
    ]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


# ---- peers ----


def _peer(program: str, words: Sequence[str], folder: Path) -> tuple[float | None, float | None]:
    """Return the seconds and the megabytes of a peer's tree, packed as a tar; None where it is not here, or failed."""
    if shutil.which(program) is None or os.getuid() != 0:
        return None, None
    began = time.perf_counter()
    done = subprocess.run((program, *words), capture_output=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        return None, None
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        tar.add(folder, ".")
    return time.perf_counter() - began, folder.with_suffix(".tar").stat().st_size / MB


def _peers(site: Site, folder: Path) -> dict[str, tuple[float | None, float | None]]:
    recipe = site.order.recipe
    address = archive_of(recipe.suite, None, folder).address
    include = f"--include={','.join(recipe.packages)}"
    one, other = folder / "mmdebstrap", folder / "debootstrap"
    return {
        "mmdebstrap + tar": _peer("mmdebstrap", ("--variant=minbase", include, recipe.suite, str(one), address), one),
        "debootstrap": _peer("debootstrap", ("--variant=minbase", include, recipe.suite, str(other), address), other),
    }


async def _run(report: Report, folder: Path) -> None:
    hello = example("hello")
    app = folder / "hello"
    shutil.copytree(hello.folder, app)
    site = Site(folder / "home", _order(hello, folder))
    seconds, _, image = await _built(site, app)
    again = (await timed(lambda: LocalImages(site.home).verify(image.digest)))[0]
    moved, pending, left = await _moved(site)
    plain = await site.images.build("hello", Directory(path="app", requirements="requirements.txt"), app)
    level = probe_isolation()
    started = _starts(site, image, plain, level) if level.bwrap else (None, None)
    base = await site.images.find(image.base)
    peers = _peers(site, folder)
    times = {name: figures[0] for name, figures in peers.items()}
    report.rows += [
        Row("a Python service and its base, from nothing", round(seconds[0], 1), "s", "lower", 60, times),
        Row("only the application changed", round(seconds[2], 2), "s", "lower", 5, times),
        Row("nothing changed, median of 3", round(seconds[1], 2), "s", "lower", 0.5, times),
        Row("a rebuild that only patches moves", round(moved, 1), "MB", "lower", 15),
        Row("size of the base", round(base.size / MB, 1), "MB", peers={name: f[1] for name, f in peers.items()}),
        Row("verified once by a process, base and all", round(again, 2), "s"),
        Row("fixes pending: built without patches", pending, "packages"),
        Row("fixes pending: built with them", left, "packages", "lower", 0),
        *_start_rows(*started),
        *await _hardened(folder),
    ]
    report.notes.append("mmdebstrap and debootstrap build the base alone, of the same packages, and all of it whatever changes")


def _start_rows(sandboxed: float | None, plain: float | None) -> list[Row]:
    if sandboxed is None or plain is None:
        return [Row("start to first answer, on the base", None, "ms", "lower", 50)]
    return [
        Row(f"start to first answer, on the base, median of {STARTS}", round(1000 * sandboxed), "ms"),
        Row("start to first answer, as a plain process", round(1000 * plain), "ms"),
        Row("  the difference", round(1000 * (sandboxed - plain)), "ms", "lower", 50),
    ]


def _order(hello: LoadedService, folder: Path) -> BaseOrder:
    """Return the base of the example, its lock made anew below ``folder``; without a mirror there is nothing to measure."""
    assert hello.base is not None
    recipe = structs.replace(hello.base.recipe, without_mirror=WithoutMirror.REFUSE)
    return BaseOrder(recipe, str(folder))


def run() -> Report:
    """Measure, in some minutes; most of them are debootstrap's."""
    report = Report("images")
    with TemporaryDirectory(prefix="bleen-bench-") as folder:
        asyncio.run(_run(report, Path(folder)))
    return report
