"""The life of one instance: started, probed, replaced with back-off, drained, stopped."""

import asyncio
import logging
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from msgspec import structs

from bleen.domain.errors import BleenError, PortTaken, Unreachable
from bleen.domain.fleet import FleetOrder, Instance, InstanceState, Isolation
from bleen.domain.traffic import Endpoint
from bleen.providers.local.addresses import check_free
from bleen.providers.local.logs import Log
from bleen.providers.local.machine import Berth, Machine, exit_of, start
from bleen.providers.local.probe import Answer, ask
from bleen.providers.local.process import (
    Process,
    ProcessId,
    adopt,
    boot_id,
    children,
    command_line,
    frozen,
    identify,
    send,
)
from bleen.providers.local.records import InstanceRecord
from bleen.providers.local.sandbox import kept_in_sandbox

log = logging.getLogger("bleen.agent")

_FIRST_PROBE_SECONDS = 0.04
_STARTING_PROBE_SECONDS = 0.25
"""What has not started after some seconds is not in a hurry: the probes of many starts at once slow them all down."""
_DRAIN_PROBE_SECONDS = 0.1
_GATEWAY_SECONDS = 5.0
"""How long a broken instance may wait to leave a gateway that does not answer: it serves nobody anyway."""
_KILL_SECONDS = 10.0
_WORDS = 5


class Neighbours(Protocol):
    """What an instance needs of its fleet."""

    order: FleetOrder

    def changed(self) -> None:
        """Endpoints may have changed."""

    async def reported(self) -> None:
        """Return when every gateway reports the endpoints of now."""

    async def active(self, address: str) -> int:
        """Return the requests under way."""

    def may_replace(self, number: int) -> bool:
        """Return whether this sick instance may be taken away now."""

    def replaced(self, number: int) -> None:
        """The instance is well again, or has left for good."""

    def broke_off(self) -> None:
        """The instance has ended, or does now, with requests in it: gateways ask its neighbours for them."""

    async def verify(self) -> None:
        """Return if the image is what its digest says, read once by each agent; ImageRejected."""

    def new_address(self) -> str:
        """Return an address that no instance has."""


@dataclass(frozen=True)
class Failed:
    """The process has ended, or must: why, for people."""

    reason: str
    ended: bool


class LocalInstance:
    """One instance. ``live`` keeps it running until it is cancelled; ``leave`` and ``stop`` end it."""

    def __init__(self, machine: Machine, fleet: Neighbours, folder: Path, record: InstanceRecord) -> None:
        self.record = record
        self._machine = machine
        self._fleet = fleet
        self._folder = folder
        self._log = Log(machine.logs, record.name, machine.log_bytes)
        self._log_start = 0
        self._process: Process | None = None
        self._app: ProcessId | None = None
        self._task: asyncio.Task[None] | None = None
        self.leaving = False

    # What others see

    @property
    def berth(self) -> Berth:
        return Berth(name=self.record.name, address=self.record.address, folder=self._folder)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(address=self.record.address, port=self._fleet.order.runtime.port)

    @property
    def serving(self) -> bool:
        """Whether gateways should have it: since it was ready first, and until it leaves or crashes.

        A sick one stays while it waits for its turn to be replaced: the gateway's own health check judges it, and
        a fleet whose every instance is sick of the same cause must not be emptied.
        """
        return not self.leaving and self.record.state in (InstanceState.READY, InstanceState.SICK)

    def seen(self) -> Instance:
        """Return the instance as a fleet's observer sees it."""
        record = self.record
        return Instance(
            name=record.name,
            address=record.address,
            port=self._fleet.order.runtime.port,
            state=record.state,
            since=record.since,
            restarts=record.restarts,
            last_exit=record.last_exit,
            last_words=record.last_words,
            isolation=record.isolation,
            pid=self._app.pid if self._app else self._process.pid if self._process else 0,
        )

    # Beginning

    def begin(self) -> None:
        """Start living, from whatever the record says."""
        self._task = asyncio.create_task(self._live(), name=self.record.name)

    async def adopt(self, stray: ProcessId | None = None) -> None:
        """Take over the process of the record, or ``stray``, which an earlier agent could not record."""
        known = self.record.process
        process = (known and adopt(known)) or (stray and adopt(stray)) or None
        if process is not None:
            self._process = process
            sandboxed = kept_in_sandbox(command_line(process.pid))
            isolation = Isolation.SANDBOX if sandboxed else Isolation.PROCESS
            await self._note(process=process.identity, isolation=isolation)
            self._app = self._find_app()
            if self.record.state is InstanceState.CRASHED:
                await self._enter(InstanceState.STARTING)
        elif known is not None and known.boot != boot_id():
            await self._enter(InstanceState.STARTING, process=None, streak=0)
        elif known is not None and self.record.state is not InstanceState.CRASHED:
            await self._fail(Failed(exit_of(self.berth, _ended(known)), ended=True))

    async def _live(self) -> None:
        while True:
            try:
                if self._process is None and not await self._start():
                    continue
                await self._fail(await self._watch())
            except Exception as error:  # a defect in here must not leave the instance unwatched
                log.exception("%s: unexpected", self.record.name)
                await self._fail(Failed(f"the host agent failed: {error!r}", ended=False))

    async def _start(self) -> bool:
        """Start it after its back-off; return whether it runs."""
        await asyncio.sleep(self._wait_left())
        await self._enter(InstanceState.STARTING, isolation=self._machine.level.isolation)
        try:
            check_free(self.record.address, self._fleet.order.runtime.port)
            await self._fleet.verify()
            self._log_start = self._log.size()
            self._process = await start(self._machine, self._fleet.order, self.berth)
        except (BleenError, OSError) as error:
            await self._fail(Failed(_first_line(error), ended=True))
            if isinstance(error, PortTaken):
                await self._note(address=self._fleet.new_address())
            return False
        self._app = None
        await self._note(process=self._process.identity)
        self._process.open_gate()
        return True

    def _wait_left(self) -> float:
        """Return the seconds until the back-off is over; it goes on over a restart of the agent."""
        if self.record.state is not InstanceState.CRASHED:
            return 0.0
        passed = (datetime.now(UTC) - self.record.since).total_seconds()
        return max(0.0, self._machine.backoff.delay(self.record.streak) - max(passed, 0.0))

    # Watching

    async def _watch(self) -> Failed:
        """Probe it until it fails for good; return how."""
        if self.record.state is InstanceState.DRAINING:
            return Failed(self.record.last_exit or "was being replaced", ended=False)
        process = self._running()
        while self.record.state is InstanceState.STARTING:
            if failed := await self._come_up(process):
                return failed
        return await self._stay_up(process)

    async def _come_up(self, process: Process) -> Failed | None:
        """Probe quickly until it is ready; return what failed, if something did."""
        health = self._fleet.order.runtime.health
        deadline = self.record.since + timedelta(seconds=health.start_grace.total_seconds())
        good = 0
        pause = _FIRST_PROBE_SECONDS
        while good < health.successes:
            if await process.wait(pause):
                return self._ended(process)
            pause = min(pause * 1.1, _STARTING_PROBE_SECONDS)
            answer = await self._ask()
            self._app = self._app or self._find_app()
            good = good + 1 if answer.good else 0
            if not good and datetime.now(UTC) >= deadline:
                return Failed(f"health path {health.path} not good within {health.start_grace}: {answer.detail}", ended=False)
        await self._enter(InstanceState.READY)
        self._fleet.replaced(self.record.number)
        return None

    async def _stay_up(self, process: Process) -> Failed:
        health = self._fleet.order.runtime.health
        good = bad = 0
        while True:
            if await process.wait(health.interval.total_seconds()):
                return self._ended(process)
            answer = await self._ask()
            good, bad = (good + 1, 0) if answer.good else (0, bad + 1)
            if self.record.state is InstanceState.SICK and good >= health.successes:
                await self._enter(InstanceState.READY)
            if bad >= health.failures and not process.gone.is_set():
                if self.record.state is InstanceState.READY:
                    await self._enter(InstanceState.SICK)
                if self.frozen or self._fleet.may_replace(self.record.number):
                    return Failed(f"health path {health.path} failed {bad} times: {answer.detail}", ended=False)

    async def _ask(self) -> Answer:
        health = self._fleet.order.runtime.health
        answer = await ask(self.endpoint, health.path, health.timeout.total_seconds())
        self._log.look(datetime.now(UTC))
        return answer

    def _ended(self, process: Process) -> Failed:
        self._log.look(datetime.now(UTC))
        return Failed(exit_of(self.berth, process), ended=True)

    # Ending

    async def _fail(self, failed: Failed) -> None:
        """Take the failed process away and enter the back-off."""
        well = self.record.state is InstanceState.READY
        lived = (datetime.now(UTC) - self.record.since).total_seconds()
        streak = 0 if well and lived >= self._machine.backoff.forgiven_after else self.record.streak
        served = self._has_served()
        if not failed.ended:
            await self._enter(InstanceState.DRAINING, last_exit=failed.reason)
            if served:
                await self._leave_gateway(_GATEWAY_SECONDS)
            if served and self.frozen:
                self._fleet.broke_off()
            await self._stop()
        else:
            if served:
                self._fleet.broke_off()
            await self._bury()
        words = "\n".join(self._log.tail(_WORDS, self._log_start))
        reason = _exec_failure(failed.reason, words)
        log.info("%s ended: %s", self.record.name, reason)
        await self._enter(
            InstanceState.CRASHED,
            last_exit=reason,
            last_words=words,
            restarts=self.record.restarts + 1,
            streak=streak + 1,
            process=None,
        )

    async def leave(self) -> None:
        """End it without losing a request: out of every gateway, drained, stopped. Returns when it is gone."""
        await self._rest()
        if self._process is not None:
            served = self._has_served()
            await self._enter(InstanceState.DRAINING)
            if served:
                await self._leave_gateway(None)
            await self._stop()
        self._fleet.replaced(self.record.number)

    async def stop(self, seconds: float) -> None:
        """End it within ``seconds`` and a little, in traffic or not: the platform itself ends."""
        await self._rest()
        if self._process is not None:
            await self._stop(seconds)
        await self._enter(InstanceState.STARTING, process=None, streak=0, restarts=0)

    async def abandon(self) -> None:
        """Stop watching; the process goes on, for the next agent."""
        await self._rest()
        if self._process is not None:
            self._process.forget()
            self._process = None

    async def _rest(self) -> None:
        """No longer start or watch anything."""
        self.leaving = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _leave_gateway(self, seconds: float | None) -> None:
        """Return when no gateway has it and its requests have ended, or the time for that is over."""
        self._fleet.changed()
        process = self._running()
        try:
            await asyncio.wait_for(self._fleet.reported(), seconds)
        except TimeoutError:
            log.warning("%s: its gateway does not confirm that it left", self.record.name)
        if not self.frozen:
            await self._drain(process)

    async def _drain(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._fleet.order.runtime.stop.drain.total_seconds()
        quiet = 0
        while quiet < 2 and loop.time() < deadline:  # twice: a request may be between a gateway's choice and its counters
            try:
                quiet = quiet + 1 if await self._fleet.active(self.record.address) == 0 else 0
            except Unreachable:
                quiet = 0  # unknown is not zero
            if quiet < 2 and await process.wait(_DRAIN_PROBE_SECONDS):
                return

    async def _stop(self, seconds: float | None = None) -> None:
        """SIGTERM to the application alone, then SIGKILL to all of it; return when nothing is left."""
        process = self._running()
        process.close_gate()
        patience = self._fleet.order.runtime.stop.kill_after.total_seconds() if seconds is None else seconds
        self._app = self._app or self._find_app()
        if not self.frozen:
            send(self._app or process.identity, signal.SIGTERM)
            await process.wait(patience)
        await self._bury()

    async def _bury(self) -> None:
        """Kill what is left of it, and see that it is gone."""
        if self._process is not None:
            self._process.kill_group()
            if not await self._process.wait(_KILL_SECONDS):
                log.error("%s: pid %d does not end on SIGKILL", self.record.name, self._process.pid)
        await self._machine.census.kill("BLEEN_INSTANCE", self.record.name)
        self._log.look(datetime.now(UTC))
        self._process = self._app = None

    # The rest

    def _has_served(self) -> bool:
        """Return whether a gateway may have it."""
        return self.record.state in (InstanceState.READY, InstanceState.SICK, InstanceState.DRAINING)

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.record.name} has no process")
        return self._process

    @property
    def frozen(self) -> bool:
        """Whether it is stopped (SIGSTOP), and so answers nothing until it is killed or continued."""
        return self._process is not None and frozen(self._app.pid if self._app else self._process.pid)

    def _find_app(self) -> ProcessId | None:
        """Return the application in its sandbox: below the shell, bubblewrap and bubblewrap's reaper."""
        process = self._running()
        if self.record.isolation is Isolation.PROCESS:
            return process.identity
        pid = process.pid
        for _ in range(3):
            below = children(pid)
            if not below:
                return None
            pid = min(below)
        return identify(pid)

    async def _enter(self, state: InstanceState, **changes: object) -> None:
        await self._note(state=state, since=datetime.now(UTC), **changes)
        self._fleet.changed()

    async def _note(self, **changes: object) -> None:
        changed = structs.replace(self.record, **changes)
        if changed == self.record:
            return
        self.record = changed
        await self._machine.shelf.keep(self._folder / "instances" / f"{self.record.number}.json", self.record)


def _ended(identity: ProcessId) -> Process:
    return Process(identity)


def _first_line(error: BleenError | OSError) -> str:
    return str(error).splitlines()[0]


def _exec_failure(reason: str, words: str) -> str:
    """Return ``reason``, or what bubblewrap or the shell said if the command could not be executed at all."""
    last = words.splitlines()[-1] if words else ""
    if last.startswith("bwrap: execvp "):
        command, _, why = last.removeprefix("bwrap: execvp ").partition(": ")
        return f"cannot execute {command!r}: {why}"
    if reason in ("exit 126", "exit 127") and last.startswith("sh: ") and "exec: " in last:
        command, _, why = last.partition("exec: ")[2].partition(": ")
        return f"cannot execute {command!r}: {why}"
    return reason
