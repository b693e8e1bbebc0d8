"""The fault storm: ``python -m bench.soak``. Real processes are killed, frozen and starved while real requests are answered.

Each round begins something (a deployment of a good or a bad release, a rollback, an abort, an approval), strikes once or
twice at a random moment, and waits until the platform is whole and the rollout has ended. Then it counts: requests lost
that a healthy instance could have served, routes that the ledger does not explain, processes left over.

BLEEN_SOAK_FAULTS   how many faults (200)
BLEEN_SOAK_SEED     the seed (another one each time); printed
BLEEN_SOAK_FIRST    begin at this round: with the seed of a failed storm, its failed round alone (1)
BLEEN_SOAK_ONLY     only faults whose name contains this
BLEEN_SOAK_MINUTES  stop by itself after so long, whatever is left (60)
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from msgspec import structs

from bench.report import OUT
from bench.stage import TooLate, settings_in
from bench.storm.body import Body
from bench.storm.faults import FAULTS, Fault, Kind, Scene
from bench.storm.scripts import SCRIPTS, WEIGHTS, Expected, Stagehand
from bench.storm.witness import ENVIRONMENT, SERVICE, Witness
from bleen.app.platform import LocalPlatform
from bleen.domain.errors import BleenError
from bleen.domain.fleet import Fleet, InstanceState
from bleen.domain.ledger import Decided, Entry
from bleen.domain.rollout import Promoted
from bleen.interfaces.client import Client
from bleen.interfaces.views import ServiceView
from bleen.providers.load import Load, LoadProcess, Mode, Sample
from bleen.providers.local.process import command_line, kill_marked, marked
from bleen.settings import Settings

WHOLE_WITHIN = 90.0
"""Seconds from the last fault until the platform must be whole and nothing under way."""
INSTANCES = 2
ROOM = "1500m"
LOADS = {"GET": (150.0, Mode.KEEP_ALIVE), "GET, new connection": (30.0, Mode.NEW), "POST": (20.0, Mode.KEEP_ALIVE)}
EXCUSE = 1.0
"""Seconds after what was hit is well again, for requests that were on their way."""


@dataclass
class Plan:
    """One round, as the seed has it."""

    number: int
    script: str
    faults: Sequence[tuple[Fault, float]]
    """Each with the seconds before it."""
    random: Random

    def __str__(self) -> str:
        struck = ", then ".join(f"{fault.name} after {delay:.2f} s" for fault, delay in self.faults)
        return f"{self.script}; {struck}"


def plan(seed: str, number: int) -> Plan:
    """Return the round with this number."""
    random = Random(f"{seed}/{number}")
    only = os.environ.get("BLEEN_SOAK_ONLY", "")
    faults = [f for f in FAULTS if only in f.name]
    count = random.choices((1, 2, 3), (65, 25, 10))[0]
    script = random.choices(list(SCRIPTS), WEIGHTS)[0]
    chosen = random.choices(faults, [f.weight for f in faults], k=count)
    delays = [random.uniform(0, 2.5), *(random.uniform(0, 1.0) for _ in chosen[1:])]
    return Plan(number, script, list(zip(chosen, delays, strict=True)), random)


@dataclass
class Toll:
    """What the storm has cost so far."""

    survived: Counter[str] = field(default_factory=Counter)
    idle: int = 0
    """Faults that found nothing to strike."""
    requests: int = 0
    apart: Counter[str] = field(default_factory=Counter)
    """Requests that no healthy instance could have served, by cause."""
    lost: Counter[str] = field(default_factory=Counter)
    """Requests lost otherwise, by their failure: must stay empty."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Window:
    """When something of the data plane was hit, and when it was well again."""

    kind: Kind
    name: str
    began: float
    ended: float


class Storm:
    """One platform in the storm."""

    def __init__(self, seed: str, toll: Toll) -> None:
        self.seed = seed
        self.toll = toll
        self._folder = Path(mkdtemp(prefix="bleen-soak-"))
        self._mounted = _mount(self._folder)
        home = self._folder / "disk" / "home"
        home.parent.mkdir(exist_ok=True)
        self.platform = LocalPlatform(settings_in(home))
        self.body = Body(home)

    async def begin(self) -> None:
        """Start it, with the first release in service."""
        server = await asyncio.to_thread(self.platform.up)
        self.witness = Witness(_with_ports(self.platform))
        app = self._folder / "source" / "app"
        app.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "upstream.py", app / "upstream.py")
        self.hand = Stagehand(Client(server), app.parent, INSTANCES)
        self._sequence = 0
        self._entries: list[Entry] = []
        await self.hand.deploy(Promoted)
        await self._whole()

    async def end(self) -> list[str]:
        """End it; return what is left over."""
        await self.witness.close()
        await asyncio.to_thread(self.platform.down)
        await asyncio.sleep(1)  # the agent gives its lock back some milliseconds before it ends
        left = [f"after bleen down: pid {pid} {name}" for pid, name in _left(self.body)]
        await kill_marked({"BLEEN_HOME": str(self.body.home)})
        if self._mounted:
            await asyncio.to_thread(subprocess.run, ["umount", str(self._folder / "disk")], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
        return left

    # ---- one round ----

    async def play(self, plan: Plan) -> bool:
        """Play one round; return whether the platform is fit for another."""
        hand = self.hand
        hand.expected.clear()
        loads = {name: LoadProcess(self._load(name)) for name in LOADS}
        for load in loads.values():
            await load.start()
        windows: list[Window] = []
        struck: list[str] = []
        try:
            await asyncio.sleep(0.4)
            wrong, fit = await self._act(plan, windows, struck)
        finally:
            samples = {name: (await load.stop()).samples for name, load in loads.items()}
        for window in windows:
            window.ended = min(window.ended, time.perf_counter())
        wrong += self._count(samples, windows)
        if fit:
            wrong += await self._judge(plan, windows)
        self._note(plan, struck, wrong)
        return fit

    async def _act(self, plan: Plan, windows: list[Window], struck: list[str]) -> tuple[list[str], bool]:
        """Play the script, strike, and wait; return what was wrong, and whether the platform became whole again."""
        script = asyncio.create_task(SCRIPTS[plan.script](self.hand, plan.random))
        wrong: list[str] = []
        try:
            await self._strike(plan, windows, struck)
            async with asyncio.timeout(WHOLE_WITHIN):
                await script
        except (BleenError, AssertionError, TimeoutError) as error:
            script.cancel()
            wrong.append(f"the script did not come through: {error!r}")
        try:
            await self._whole()
        except TooLate as error:
            self._entries = await self._read_again()
            return [*wrong, str(error)], False
        return wrong, True

    async def _read_again(self) -> list[Entry]:
        try:
            return await self.witness.entries(self._sequence)
        except BleenError:
            return []

    def _load(self, name: str) -> Load:
        rate, mode = LOADS[name]
        method = name.partition(",")[0]
        port = self.platform.ports().gateway
        return Load(port, rate, mode, host=f"{SERVICE}.localhost", method=method, patience=20.0)

    async def _strike(self, plan: Plan, windows: list[Window], said: list[str]) -> None:
        room = self._folder / "disk" / "filler" if self._mounted else None
        scene = Scene(self.platform, self.body, self.witness, plan.random, room)
        for fault, delay in plan.faults:
            await asyncio.sleep(delay)
            began = time.perf_counter()
            window = Window(fault.kind, fault.name, began, float("inf"))
            done = await fault.act(scene)
            at = datetime.fromtimestamp(time.time() - time.perf_counter() + began, UTC)
            said.append(f"{at:%H:%M:%S.%f} {done or 'nothing to strike'}")
            if not done:
                self.toll.idle += 1
                continue
            self.toll.survived[fault.name] += 1
            if fault.kind is not Kind.CONTROL:
                windows.append(window)
            if fault.kind is Kind.DATA:
                await self._mended(window, scene)

    async def _mended(self, window: Window, scene: Scene) -> None:
        """Note when the gateway has healthy instances again for what it routes to."""
        deadline = time.monotonic() + WHOLE_WITHIN
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            try:
                if await scene.can_serve():
                    window.ended = time.perf_counter() + EXCUSE
                    return
            except BleenError:
                continue  # the gateway is away still

    async def _whole(self) -> None:
        deadline, lacking = time.monotonic() + WHOLE_WITHIN, "it was not looked at"
        while time.monotonic() < deadline:
            try:
                lacking = await self._lacking()
            except BleenError as error:
                lacking = str(error)
            if not lacking:
                return
            await asyncio.sleep(0.1)
        raise TooLate(f"not whole {WHOLE_WITHIN:g} s after the last fault: {lacking}")

    async def _lacking(self) -> str:
        """Return what is not as it should be yet; empty when the platform is whole and at rest."""
        parts = await self.witness.agent.parts()
        broken = [f"{p.name} is {p.state} ({p.last_exit})" for p in parts if p.state != "ready"]
        if broken:
            return ", ".join(broken)
        view = await asyncio.to_thread(self.hand.client.service, ENVIRONMENT, SERVICE)
        if view.silent:
            return f"{view.silent} do not answer"
        if view.progress is not None:
            return f"a rollout is under way: {view.progress.decision}; {view.progress.error}"
        if not view.history or view.history[0].finished is None or view.history[0].outcome is None:
            return f"the last rollout has not finished: {view.history[:1]}"
        return _fleets_lack(view) or await self._seen_by_gateway(view)

    async def _seen_by_gateway(self, view: ServiceView) -> str:
        hosts = await self.witness.admin.hosts()
        fleet = view.fleets[0]
        name = f"{ENVIRONMENT}.{SERVICE}.{fleet.slot.colour}.r{fleet.release}"
        healthy = sum(e.healthy for e in hosts.get(name, ()))
        return "" if healthy == fleet.size else f"the gateway finds {healthy} of {fleet.size} instances healthy"

    # ---- what must hold ----

    def _count(self, samples: dict[str, list[Sample]], windows: Sequence[Window]) -> list[str]:
        lost: dict[str, list[Sample]] = {}
        for name, each in samples.items():
            self.toll.requests += len(each)
            for sample in (sample for sample in each if sample.failure):
                cause = _excuse(name, sample, windows)
                if cause:
                    self.toll.apart[cause] += 1
                else:
                    lost.setdefault(f"{name}: {sample.failure}", []).append(sample)
        self.toll.lost.update({failure: len(each) for failure, each in lost.items()})
        return [f"{len(each)} requests lost {_when(each)}: {failure}" for failure, each in lost.items()]

    async def _judge(self, plan: Plan, windows: Sequence[Window]) -> list[str]:
        entries = self._entries = await self.witness.entries(self._sequence)
        hurt = any(w.kind is not Kind.CONTROL for w in windows)
        wrong = self.witness.judge(entries, hurt=hurt) + self.witness.at_rest(entries)
        self._sequence = entries[-1].sequence if entries else self._sequence
        fleets = await self.witness.agent.observe(SERVICE)
        wrong += await asyncio.to_thread(self._strangers, [i.name for f in fleets for i in f.instances])
        view = await asyncio.to_thread(self.hand.client.history, ENVIRONMENT, SERVICE, 20)
        outcomes = {r.target.number: r.outcome for r in reversed(view.rollouts)}
        for expected in self.hand.expected:
            wrong += _unexpected(expected, outcomes.get(expected.release), strict=not hurt)
        return wrong

    def _strangers(self, instances: Sequence[str]) -> list[str]:
        """What runs and should not, for good: a watchdog that was killed takes five seconds to come back."""
        deadline = time.monotonic() + 12
        while True:
            wrong = self.body.strangers(instances)
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(0.3)

    def _note(self, plan: Plan, struck: Sequence[str], wrong: Sequence[str]) -> None:
        done = sum(self.toll.survived.values())
        print(f"round {plan.number:3}  faults {done:3}  {plan} [{'; '.join(struck)}]", flush=True)
        if not wrong:
            return
        self.toll.wrong += [f"round {plan.number}: {each}" for each in wrong]
        kept = OUT / "soak" / f"{self.seed}-{plan.number}"
        shutil.copytree(self.platform.settings.path / "logs", kept, dirs_exist_ok=True)
        (kept / "ledger").write_text("".join(f"{line}\n" for entry in self._entries for line in _told(entry)))
        for each in wrong:
            print(f"  WRONG  {each}")
        print(f"  again  BLEEN_SOAK_SEED={self.seed} BLEEN_SOAK_FIRST={plan.number} BLEEN_SOAK_FAULTS=1 make soak")
        print(f"  logs   {kept}", flush=True)


def _told(entry: Entry) -> list[str]:
    event = structs.replace(entry.event, seen=None) if isinstance(entry.event, Decided) else entry.event
    return [f"{entry.sequence} {entry.at:%H:%M:%S.%f} {entry.key} {event}"]


def _when(samples: Sequence[Sample]) -> str:
    wall = time.time() - time.perf_counter()
    first, last = (
        datetime.fromtimestamp(wall + at, UTC) for at in (min(s.started for s in samples), max(s.ended for s in samples))
    )
    by = ", ".join(sorted({s.answered_by or "nobody" for s in samples}))
    return f"from {first:%H:%M:%S.%f} to {last:%H:%M:%S.%f}, answered by {by}"


def _excuse(name: str, sample: Sample, windows: Sequence[Window]) -> str:
    """Return why no healthy instance could have served the request; empty where one could."""
    for window in windows:
        # Under way when it struck, or begun before all was well again.
        meets = sample.ended >= window.began and sample.started <= window.ended
        if window.kind is Kind.DATA and meets:
            return window.name
        if window.kind is Kind.INSTANCE and meets and name == "POST":
            return f"POST under way, {window.name}"
    return ""


def _unexpected(expected: Expected, outcome: object, *, strict: bool) -> list[str]:
    if outcome is None:
        return [f"r{expected.release} has no outcome"]
    if isinstance(outcome, expected.outcomes):
        return []
    if not strict and Promoted in expected.outcomes:
        return []  # instances of it, or the gateway, were hit: a release may fail by that
    return [f"r{expected.release} ended as {outcome}, not as {' or '.join(o.__name__ for o in expected.outcomes)}"]


def _fleets_lack(view: ServiceView) -> str:
    def ready(fleet: Fleet) -> int:
        return sum(i.state is InstanceState.READY for i in fleet.instances)

    if len(view.fleets) != 1:
        return f"{len(view.fleets)} fleets are left"
    (fleet,) = view.fleets
    if not ready(fleet) == len(fleet.instances) == fleet.size:
        return f"{ready(fleet)} of {fleet.size} instances are ready"
    return ""


def _with_ports(platform: LocalPlatform) -> Settings:
    settings = platform.settings
    return structs.replace(settings, ports=structs.replace(platform.ports(), services=settings.ports.services))


def _left(body: Body) -> list[tuple[int, str]]:
    return [(pid, command_line(pid)[:80].decode(errors="replace")) for pid in marked({"BLEEN_HOME": str(body.home)})]


def _mount(folder: Path) -> bool:
    """Return whether the home is on a small disk of its own, which can be filled."""
    disk = folder / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)], capture_output=True, check=False)
    return done.returncode == 0


async def storm(seed: str, faults: int, first: int, minutes: float) -> Toll:
    """Play rounds until ``faults`` have struck; return the toll."""
    toll, deadline = Toll(), time.monotonic() + 60 * minutes
    number, stage = first, Storm(seed, toll)
    if not stage._mounted:
        print("no small disk can be mounted here (needs root): a full disk is left out", flush=True)
    try:
        await stage.begin()
        while sum(toll.survived.values()) < faults and time.monotonic() < deadline:
            if not await stage.play(plan(seed, number)):
                print("  the platform is not fit for another round: a new one takes its place", flush=True)
                await stage.end()
                stage = Storm(seed, toll)
                await stage.begin()
            number += 1
    finally:
        toll.wrong += await stage.end()
    return toll


def show(toll: Toll, seed: str, seconds: float) -> None:
    """Print what came of it."""
    print(f"\nseed {seed}, {seconds / 60:.1f} minutes")
    print(f"faults survived   {sum(toll.survived.values())} ({toll.idle} more found nothing to strike)")
    for name, count in sorted(toll.survived.items(), key=lambda each: -each[1]):
        print(f"  {count:4}  {name}")
    print(f"requests          {toll.requests}")
    print(f"counted apart     {sum(toll.apart.values())}: no healthy instance could have served them")
    for name, count in toll.apart.most_common():
        print(f"  {count:4}  {name}")
    print(f"lost              {sum(toll.lost.values())}")
    print(f"violations        {len(toll.wrong)}")
    for each in toll.wrong:
        print(f"  {each}")


async def _until_told(doing: Coroutine[Any, Any, Toll]) -> Toll:
    """Do it; end it in order on SIGINT and SIGTERM, also where a shell has them ignored."""
    task = asyncio.ensure_future(doing)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Run the storm; 1 where anything was wrong."""
    seed = os.environ.get("BLEEN_SOAK_SEED") or secrets.token_hex(4)
    faults = int(os.environ.get("BLEEN_SOAK_FAULTS") or 200)
    first = int(os.environ.get("BLEEN_SOAK_FIRST") or 1)
    minutes = float(os.environ.get("BLEEN_SOAK_MINUTES") or 60)
    print(f"seed {seed}: {faults} faults, about {faults * 0.2:.0f} minutes, at most {minutes:g}", flush=True)
    began = time.monotonic()
    toll = asyncio.run(_until_told(storm(seed, faults, first, minutes)))
    show(toll, seed, time.monotonic() - began)
    return 1 if toll.wrong or toll.lost else 0


if __name__ == "__main__":
    sys.exit(main())
