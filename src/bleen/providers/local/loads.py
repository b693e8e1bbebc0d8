"""What the instances of this machine use: processor time and memory of their process trees, sandboxed ones included."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import psutil

from bleen.domain.comparison import Comparison
from bleen.domain.signals import Load
from bleen.ports import Fleets
from bleen.providers.odometer import Meters, Odometer


class LocalLoads:
    """Reads the process table, for whoever shares the machine with the host agent and its instances."""

    def __init__(self, fleets: Fleets) -> None:
        self._fleets = fleets
        self._meters = Meters(_Meter)

    async def read(self, comparison: Comparison) -> tuple[Load, ...]:
        """Return the load of each release that has an instance with a process; Unreachable where fleets cannot be seen.

        Memory is the resident set, in which processes of one instance count the pages that they share each for itself.
        """
        running: dict[int, dict[int, str]] = {comparison.baseline: {}, comparison.canary: {}}
        for fleet in await self._fleets.observe(comparison.service):
            counts = comparison.counts(fleet.release, baseline=fleet.slot.baseline)
            if fleet.slot.environment == comparison.environment and counts:
                running[fleet.release] |= {i.pid: f"{i.name}/{i.restarts}" for i in fleet.instances if i.pid}
        used = await asyncio.to_thread(measure, {pid for pids in running.values() for pid in pids})
        meter, _ = self._meters.of(comparison)
        return tuple(meter.load(release, pids, used) for release, pids in running.items() if pids)


class _Meter:
    """Processor time of releases: what an instance that ended had used is not given back."""

    def __init__(self, odometer: Odometer) -> None:
        self._odometer = odometer
        self._seconds: dict[int, dict[str, float]] = defaultdict(dict)

    def load(self, release: int, pids: Mapping[int, str], used: Mapping[int, tuple[float, int]]) -> Load:
        """Return the load of ``release``, whose instances have these processes."""
        held = self._seconds[release]
        for pid, name in pids.items():
            if pid in used:
                who = f"{name}/{pid}"
                held[who] = self._odometer.read((release, who), {"": used[pid][0]}, from_zero=False)[""]
        memory = sum(used[pid][1] for pid in pids if pid in used)
        return Load(release=release, cpu=round(sum(held.values()), 3), memory=memory)


def measure(pids: Collection[int]) -> Mapping[int, tuple[float, int]]:
    """Return seconds of processor time so far and bytes of memory of the process tree below each of ``pids``."""
    if not pids:
        return {}
    below: dict[int, list[psutil.Process]] = defaultdict(list)
    processes = {process.pid: process for process in psutil.process_iter(["ppid"])}
    for process in processes.values():
        below[process.info["ppid"]].append(process)
    used = {}
    for pid in pids & processes.keys():
        figures = [figure for process in _tree(processes[pid], below) for figure in _use(process)]
        used[pid] = (sum(seconds for seconds, _ in figures), sum(memory for _, memory in figures))
    return used


def _tree(top: psutil.Process, below: Mapping[int, list[psutil.Process]]) -> Iterator[psutil.Process]:
    yield top
    for child in below.get(top.pid, ()):
        yield from _tree(child, below)


def _use(process: psutil.Process) -> Iterator[tuple[float, int]]:
    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info().rss
    except psutil.Error:
        return  # it ended meanwhile
    # What ended below it and was waited for is in the last two.
    yield times.user + times.system + times.children_user + times.children_system, memory
