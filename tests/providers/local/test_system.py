"""The full builder: a whole system of Debian's own, hardened by a benchmark, patched and judged; one real build, as root."""

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.base import BaseOrder, Benchmark, Hardening, Locked, Maker, Stage
from bleen.domain.errors import BleenError, BuildFailed, InvalidInput, NotFound, Unreachable
from bleen.domain.finding import Scan, Severity, together
from bleen.domain.fleet import Isolation
from bleen.domain.image import Directory, Image
from bleen.domain.pipeline import OfBase, Plan
from bleen.domain.policy import judge
from bleen.interfaces.repository import find_recipe
from bleen.interfaces.repository.policy import load_policy
from bleen.providers import openscap
from bleen.providers.debian.system import SEAL, SYSTEM, is_sound, read_tree, rounds
from bleen.providers.local.images import LocalBases, LocalBuilder, LocalImages
from bleen.providers.local.images.bases import all_of
from bleen.providers.local.images.chroot import chroot_of, refuse_without_tools, search_of
from bleen.providers.local.images.store import Store
from bleen.providers.local.images.tools import Tools
from bleen.providers.scanning.scanner import ImageScanner
from tests.fixtures.debian import Deb, LittleMirror, little_mirror
from tests.providers.local.base_bench import Bench
from tests.providers.local.image_bench import leftovers
from tests.providers.local.world import APP, World, get, ready, until

# Whichever test comes first has the system made, on a slow machine for minutes.
pytestmark = pytest.mark.timeout(900)
HARDENED = Path(__file__).parents[3] / "examples/hardened"
MOST_FAILURES = 29
"""Rules of CIS level 1 that a hardened system may not keep."""
DAY = date(2026, 12, 1)
"""The example's waivers count on this one: they expire, and this test does not."""


def skip_without_tools() -> None:
    """Skip where no whole system can be made: that takes root, mmdebstrap and OpenSCAP."""
    try:
        refuse_without_tools(Tools())
        openscap.content(search_of(Tools()))
    except BuildFailed as error:
        pytest.skip(f"{error.what}: {error.why}")


@dataclass
class Made:
    """A home with the example's image in it, and how it came there."""

    home: Path
    image: Image
    plan: Plan
    told: list[Stage]

    @property
    def builder(self) -> LocalBuilder:
        return LocalBuilder(LocalImages(self.home), LocalBases(self.home))

    @property
    def images(self) -> LocalImages:
        return LocalImages(self.home)


def order(folder: Path) -> BaseOrder:
    """Return the order of the example's recipe; its lock is in ``folder``."""
    return BaseOrder(find_recipe(HARDENED, "debian-cis").recipe, str(folder))


async def build(home: Path, folder: Path) -> Made:
    builder, told, digest = LocalBuilder(LocalImages(home), LocalBases(home)), [], ""
    plan = await builder.begin(OfBase(order(folder)))
    for stage in plan.stages:
        done = await builder.carry_out(plan.key, stage)
        told.append(done.told)
        digest = done.candidate or digest
    return Made(home, await builder.publish(plan.key, digest), plan, told)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The one build of this file."""
    skip_without_tools()
    folder = tmp_path_factory.mktemp("system")
    try:
        return asyncio.run(build(folder / "home", folder))
    except (Unreachable, NotFound) as error:
        pytest.skip(f"this machine has no Debian mirror that answers: {error.what}")


# ---- one real system ----


async def test_every_rule_that_is_not_kept_is_answered_for(made: Made) -> None:
    """At most 29 of CIS level 1, and fewer than before hardening; the example's policy waives these and no others."""
    scanner = ImageScanner(made.builder, LocalBases(made.home))
    rules = await scanner.comply(made.image.digest)
    broken = [finding.id for finding in rules.findings if finding.id.startswith("cis-")]
    found: openscap.Compliance = openscap.read_compliance(made.builder.rules(made.image.digest) or Path())
    assert 0 < len(broken) == len(found.after.failed) <= MOST_FAILURES < len(found.before.failed)
    (check,) = [check for check in rules.checks if check.name == "cis"]
    assert "CIS Ubuntu 22.04 level 1 (server), applied to Debian" in check.looked_at
    policy = load_policy(HARDENED)
    judgement = judge(together(await scanner.scan(made.image.digest), rules).findings, policy, "production", DAY)
    assert judgement.allowed and judgement.open == ()
    assert {waiver.finding for waiver in policy.waivers} == {one.finding.id for one in judgement.waived}


async def test_what_stands_on_a_system_is_judged_with_it(made: Made) -> None:
    """The findings of the base are those of the service, too."""
    app = await made.images.build("hello", Directory(path="app", version="1"), APP.parent, made.image.digest)
    scanner = ImageScanner(made.builder, LocalBases(made.home))
    of_base, of_app = [await scanner.comply(digest) for digest in (made.image.digest, app.digest)]
    assert [f.id for f in of_app.findings] == [f.id for f in of_base.findings] != []


async def test_a_benchmark_whose_words_are_lost_is_not_checked(made: Made) -> None:
    """Silence would be taken for keeping every rule."""
    rules = made.builder.rules(made.image.digest)
    assert rules is not None
    said = rules.read_bytes()
    rules.unlink()
    try:
        scan: Scan = await ImageScanner(made.builder, LocalBases(made.home)).comply(made.image.digest)
    finally:
        rules.write_bytes(said)
    assert [finding.id for finding in scan.findings] == ["not-checked-benchmark"]
    assert scan.findings[0].severity is Severity.NOT_CHECKED and scan.findings[0].fix


def test_a_system_knows_neither_the_day_nor_the_machine(made: Made) -> None:
    """No file of the image has the date of its making or a path of the home; its times, owners and modes are those of any."""
    tree = made.images.tree(made.image.digest)
    today = datetime.now(UTC).strftime("%Y-%m-%d").encode()
    texts = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and not path.is_symlink()}
    assert len(texts) > 1000 and made.image.runtime == "cpython-3.11"
    assert [path for path, text in texts.items() if str(made.home).encode() in text] == []
    assert [path for path, text in texts.items() if "usr" not in path.parts and today in text] == []
    assert not (tree / "etc/apt/sources.list").exists() and not (tree / "etc/shadow").exists()


async def test_the_stages_say_what_they_did(made: Made) -> None:
    """Base, hardening and patches each with its numbers; asked for again, the image is there."""
    assert [stage.name for stage in made.told] == ["fetch", "base", "hardening", "patches", "runtime"]
    said = {stage.name: stage.detail for stage in made.told}
    assert "scripts run by mmdebstrap" in said["base"] and "of the security suite" in said["patches"]
    assert "rules of cis-level-1 not kept before" in said["hardening"]
    again = await made.builder.begin(OfBase(order(made.home.parent)))
    assert again.image == made.image and again.stages == ()
    assert (await made.images.verify(made.image.digest)).name == "debian-cis"


@pytest.fixture
async def world(made: Made) -> AsyncIterator[World]:
    app = await made.images.build("hello", Directory(path="app", version="1"), APP.parent, made.image.digest)
    there = World(made.home, app.digest)
    if there.level.isolation is not Isolation.SANDBOX:
        pytest.skip(f"this machine refuses sandboxes: {there.level.reason}")
    yield there
    await there.close()


async def test_an_instance_starts_from_a_system(world: World) -> None:
    """As from any base: its Python is the system's, and nothing of it can be written."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    (instance,) = await ready(agent, 1)
    assert instance.isolation is Isolation.SANDBOX
    assert await get(instance, "/environ/BLEEN_PYTHON") == "/usr/bin/python3.11"
    assert await get(instance, "/write/usr/bin/evil") == "Read-only file system"
    assert await get(instance, "/uid") == "1000"


def processes_of(folder: Path) -> list[str]:
    """Return the command of every process that names ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [words] if str(folder) in words else []
    return found


def mounts_of(folder: Path) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]


async def test_a_build_that_ends_in_a_stage_leaves_nothing(made: Made, tmp_path: Path) -> None:
    """No process, no mount, no half of a system; what was fetched stays, and the stage is to be carried out again."""
    home, folder = tmp_path / "home", made.home.parent
    shutil.copytree(made.home / "images/packages", home / "images/packages", copy_function=os.link)
    builder = LocalBuilder(LocalImages(home), LocalBases(home))
    plan = await builder.begin(OfBase(order(folder)))
    assert (await builder.carry_out(plan.key, "fetch")).told.cached
    stage = asyncio.ensure_future(builder.carry_out(plan.key, "base"))
    await until(lambda: any("dpkg" in words for words in processes_of(home)), "packages are being unpacked", 60)
    stage.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage
    await until(lambda: processes_of(home) == [], "no process of the build is left")
    assert leftovers(home) == []
    assert mounts_of(home) == []
    assert list((home / "images/candidates").glob("*")) == []


# ---- what cannot be built ----


class SystemBench(Bench):
    """A little mirror, and recipes that ask for a whole system of it: it has none to offer."""

    def __init__(self, folder: Path, mirror: LittleMirror, tools: Tools | None = None) -> None:
        super().__init__(folder, mirror)
        self.bases = LocalBases(self.home, clock=lambda: self.now, tools=tools)
        self.builder = LocalBuilder(self.images, self.bases)

    async def plan(self, **changes: object) -> Plan:
        changes = {"builder": Maker.FULL, **changes}
        return await self.builder.begin(OfBase(self.order(**changes)))  # type: ignore[arg-type]


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[LittleMirror]:
    with little_mirror(tmp_path / "recipes") as mirror:
        yield mirror


async def test_what_is_missing_for_a_system_is_named(mirror: LittleMirror, tmp_path: Path) -> None:
    """Before anything is fetched or made, with the packages to install."""
    bench = SystemBench(tmp_path, mirror, Tools(environ={"PATH": str(tmp_path)}))
    with pytest.raises(BuildFailed, match="full builder cannot be used here") as caught:
        await bench.plan()
    assert "mmdebstrap" in caught.value.why and "apt install mmdebstrap" in caught.value.next
    with pytest.raises(BuildFailed, match="not installed") as caught:
        await bench.plan(benchmark=Benchmark.CIS_LEVEL_1)
    assert "no oscap" in caught.value.why and "openscap-scanner ssg-debderived" in caught.value.next
    assert not any(path.startswith("pool/") for path in mirror.asked)


async def test_a_recipe_that_contradicts_itself_is_not_begun(mirror: LittleMirror, tmp_path: Path) -> None:
    """Also where it comes from no file: what was asked for and not done would be silence."""
    bench = SystemBench(tmp_path, mirror)
    with pytest.raises(InvalidInput, match="needs a whole system"):
        await bench.plan(builder=Maker.EMBEDDED, benchmark=Benchmark.CIS_LEVEL_1)
    with pytest.raises(InvalidInput, match="cannot be left out of a whole system"):
        await bench.plan(hardening=Hardening(remove_packages=("libtool",)))
    assert mirror.asked == []


async def test_a_package_that_does_not_exist_is_named_before_any_stage(mirror: LittleMirror, tmp_path: Path) -> None:
    """As by the embedded builder."""
    with pytest.raises(BuildFailed, match="no-such-tool"):
        await SystemBench(tmp_path, mirror).plan(packages=("tool", "no-such-tool"))


async def test_a_mirror_that_vanishes_leaves_a_build_to_go_on_with(mirror: LittleMirror, tmp_path: Path) -> None:
    """What it gave is kept; the rest is a matter of trying again, and is fetched then."""
    skip_without_tools()
    bench = SystemBench(tmp_path, mirror)
    plan = await bench.plan()
    mirror.spoil = lambda path, data: None if path.startswith("pool/tool_") else data
    with pytest.raises(BleenError):
        await bench.builder.carry_out(plan.key, "fetch")
    assert leftovers(bench.home) == []
    mirror.spoil = lambda _, data: data
    before = len(mirror.asked)
    assert not (await bench.builder.carry_out(plan.key, "fetch")).told.cached
    assert "pool/tool_1.0.deb" in mirror.asked[before:]
    assert "pool/libc6_2.36-9.deb" not in mirror.asked[before:]


async def test_a_system_that_mmdebstrap_cannot_make_is_no_candidate(mirror: LittleMirror, tmp_path: Path) -> None:
    """Its last words are the reason: these packages are no Debian."""
    skip_without_tools()
    bench = SystemBench(tmp_path, mirror)
    plan = await bench.plan()
    await bench.builder.carry_out(plan.key, "fetch")
    with pytest.raises(BuildFailed, match=r"unshare failed: .*mmdebstrap") as caught:
        await bench.builder.carry_out(plan.key, "base")
    assert caught.value.why and leftovers(bench.home) == []
    assert list((bench.home / "images/candidates").glob("*")) == [] and list(await bench.images.list()) == []


def test_what_a_patch_pre_depends_on_is_installed_before_it() -> None:
    """In a round of its own, with what it needs itself; the rest is one round, and what needs each other stays together."""
    debs = (
        Deb("libpam-modules", "2", {"Pre-Depends": "libpam-modules-bin (= 2)"}),
        Deb("libpam-modules-bin", "2", {"Pre-Depends": "libc6", "Depends": "libpam0g (>= 2)"}),
        Deb("libc6", "2", {"Depends": "libgcc"}),
        Deb("libpam0g", "2", {"Depends": "libc6"}),
        Deb("tool", "2", {"Depends": "libpam-modules, nothing"}),
    )
    packages = {locked(deb): deb.data for deb in debs}
    assert rounds(packages) == [["libc6"], ["libpam-modules-bin", "libpam0g"], ["libpam-modules", "tool"]]
    circle = {locked(deb): deb.data for deb in (Deb("a", "1", {"Pre-Depends": "b"}), Deb("b", "1", {"Depends": "a"}))}
    assert rounds(circle) == [["a", "b"]] and rounds({}) == []


async def test_a_system_without_patches_fetches_none() -> None:
    """To wait for nothing is to be done."""
    assert await all_of([]) == []


def locked(deb: Deb) -> Locked:
    return Locked(deb.name, deb.version, "", "", "bookworm-security", deb.path, len(deb.data), "")


# ---- trees and findings ----


def test_a_system_becomes_a_tree_that_no_link_leaves(tmp_path: Path) -> None:
    """Absolute links become relative; devices, what a machine makes for itself, and compiled modules stay behind."""
    for path, text in {
        "usr/bin/mawk": "awk",
        "usr/lib/python3/__pycache__/x.pyc": "old",
        "etc/machine-id": "1",
        "usr/share/doc/mawk/copyright": "GPL",
        "usr/share/doc/mawk/README": "read",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "etc/alternatives").mkdir()
    (tmp_path / "etc/alternatives/awk").symlink_to("/usr/bin/mawk")
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/mawk").chmod(0o4755)
    os.mkfifo(tmp_path / "etc/pipe")
    tree = read_tree(tmp_path, ("usr/share/doc/*",))
    assert set(tree.members) == {
        "usr/bin/mawk",
        "etc/alternatives/awk",
        "usr/share/doc/mawk/copyright",
        "etc/hosts",
        "etc/resolv.conf",
    }
    assert tree.members["etc/alternatives/awk"].target == "../../usr/bin/mawk"
    assert tree.members["usr/bin/mawk"].privileged


RULE = openscap.Broken("package_aide_installed", Severity.MEDIUM, "Install AIDE")
JUDGED = openscap.Judged(passed=150, failed=(RULE,), not_checked=(openscap.Broken("tables", Severity.LOW, "Tables"),))
FOUND = openscap.Compliance(Benchmark.CIS_LEVEL_1, openscap.Judged(passed=108, failed=(RULE, RULE)), JUDGED)


async def test_what_crashes_now_and_then_is_run_again_so_often(tmp_path: Path) -> None:
    """OpenSCAP does. One that crashes oftener, or for which nobody said so, has failed, and says how it ended."""
    program, said = tmp_path / "bin/crashing", tmp_path / "bin/crashing.log"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho once more >> "$0.log"\n[ $(wc -l < "$0.log") -ge 3 ] || kill -SEGV $$\n')
    program.chmod(0o755)
    async with Store(tmp_path / "home").workspace() as work:
        root = chroot_of(Tools(environ={"PATH": f"{program.parent}:{os.environ['PATH']}"}), work)
        with pytest.raises(BuildFailed, match="it ended with -11"):
            await root.run("crashing")
        await root.run("crashing", crashes=1)
    assert said.read_text().count("once more") == 3


def test_the_rules_that_are_not_kept_are_findings() -> None:
    """Each by its own id, so that it can be waived; what OpenSCAP could not check is not-checked."""
    report = openscap.findings(FOUND)
    assert [finding.id for finding in report.findings] == ["cis-package_aide_installed", "not-checked-cis-tables"]
    assert report.findings[1].severity is Severity.NOT_CHECKED
    assert "1 rules not kept and 150 kept, 2 not kept before hardening" in report.checks[0].looked_at


def test_a_waiver_of_a_rule_is_of_that_rule_until_its_day() -> None:
    """The day after, the rule blocks again, and the waiver is a finding itself."""
    policy = load_policy(HARDENED)
    policy = structs.replace(policy, waivers=tuple(one for one in policy.waivers if one.finding == f"cis-{RULE.rule}"))
    (waiver,) = policy.waivers
    assert waiver.owner and waiver.reason
    findings = openscap.findings(FOUND).findings
    last = date.fromisoformat(waiver.expires)
    assert [f.id for f in judge(findings, policy, "production", last).blocking] == ["not-checked-cis-tables"]
    late = judge(findings, policy, "production", last.replace(day=last.day - 1, month=12)).blocking
    assert {f.id for f in late} == {"cis-package_aide_installed", "not-checked-cis-tables", "expired-waiver"}


def test_a_system_that_was_cut_off_is_not_taken_up(tmp_path: Path) -> None:
    """Half of one, which a crash of the machine can leave, has another digest."""
    (tmp_path / SYSTEM).write_bytes(b"whole")
    assert not is_sound(tmp_path)
    (tmp_path / SEAL).write_text(hashlib.sha256(b"whole").hexdigest())
    assert is_sound(tmp_path)
    (tmp_path / SYSTEM).write_bytes(b"who")
    assert not is_sound(tmp_path)
