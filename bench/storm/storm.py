"""One platform in the storm, round after round: struck, waited for, and judged."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

from msgspec import structs

from bench.report import OUT
from bench.stage import TooLate, settings_in
from bench.storm.body import Body
from bench.storm.faults import Kind, Scene
from bench.storm.plan import Plan
from bench.storm.scripts import SCRIPTS, Expected, Stagehand
from bench.storm.toll import Toll, Window
from bench.storm.witness import ENVIRONMENT, SERVICE, Witness
from bleen.app.platform import LocalPlatform
from bleen.domain.errors import BleenError
from bleen.domain.fleet import Fleet, InstanceState
from bleen.domain.ledger import Decided, Entry
from bleen.domain.rollout import Promoted
from bleen.interfaces.client import Client
from bleen.interfaces.views import ServiceView
from bleen.providers.load import Load, LoadProcess, Mode
from bleen.providers.local.process import Process, command_line, identify, kill_marked, marked
from bleen.settings import Settings

WHOLE_WITHIN = 90.0
"""Seconds from the last fault until the platform must be whole and nothing under way."""
INSTANCES = 2
ROOM = "1500m"
LOADS = {"GET": (150.0, Mode.KEEP_ALIVE), "GET, new connection": (30.0, Mode.NEW), "POST": (20.0, Mode.KEEP_ALIVE)}
EXCUSE = 1.0
"""Seconds after what was hit is well again, for requests that were on their way."""


class Storm:
    """One platform in the storm."""

    def __init__(self, seed: str, toll: Toll) -> None:
        self.seed = seed
        self.toll = toll
        self._folder = Path(mkdtemp(prefix="bleen-soak-"))
        self.mounted = _mount(self._folder)
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
        shutil.copy(Path(__file__).parents[1] / "upstream.py", app / "upstream.py")
        self.hand = Stagehand(Client(server), app.parent, INSTANCES)
        self._sequence = 0
        self._entries: list[Entry] = []
        self._tasks: list[asyncio.Task[None]] = []
        await self.hand.deploy(Promoted)
        await self._whole()

    async def end(self) -> list[str]:
        """End it; return what is left over."""
        await self.witness.close()
        await asyncio.to_thread(self.platform.down)
        await asyncio.sleep(1)  # the agent gives its lock back some milliseconds before it ends
        left = [f"after bleen down: pid {pid} {name}" for pid, name in _left(self.body)]
        await kill_marked({"BLEEN_HOME": str(self.body.home)})
        if self.mounted:
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
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
        wrong += self.toll.count(samples, windows)
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
        room = self._folder / "disk" / "filler" if self.mounted else None
        scene = Scene(self.platform, self.body, self.witness, plan.random, room)
        for fault, delay in plan.faults:
            await asyncio.sleep(delay)
            began = time.perf_counter()
            window = Window(fault.kind, fault.name, began)
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
            if fault.kind is Kind.INSTANCE:
                self._tasks.append(asyncio.create_task(_gone(window, scene.hit)))

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
        begun = {summary.target.number for summary in view.history}
        late = next((f"r{e.release}" for e in self.hand.expected if e.release > max(begun, default=0)), "")
        if late:
            return f"the rollout to {late} has not begun"
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

    async def _judge(self, plan: Plan, windows: Sequence[Window]) -> list[str]:
        entries = self._entries = await self.witness.entries(self._sequence)
        hurt = any(window.kind is Kind.DATA for window in windows)
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
        done = self.toll.faults
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


async def _gone(window: Window, pid: int) -> None:
    """Note when the instance that was hit is dead: what it had begun is lost or asked again by then."""
    identity = identify(pid)
    if identity is not None:
        await Process(identity).gone.wait()
    window.ended = time.perf_counter() + EXCUSE


def _told(entry: Entry) -> list[str]:
    event = structs.replace(entry.event, seen=None) if isinstance(entry.event, Decided) else entry.event
    return [f"{entry.sequence} {entry.at:%H:%M:%S.%f} {entry.key} {event}"]


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
