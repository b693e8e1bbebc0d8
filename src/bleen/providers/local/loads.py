"""What the instances of this machine use: processor time and memory of their process trees, sandboxed ones included."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import psutil

from bleen.domain.comparison import Comparison
from bleen.domain.fleet import Fleet
from bleen.domain.signals import Load, Usage
from bleen.ports import Fleets
from bleen.providers.usage import FleetUsage, Totals, process_of


class LocalLoads:
    """Reads the process table, for whoever shares the machine with the host agent and its instances."""

    def __init__(self, fleets: Fleets) -> None:
        self._fleets = fleets
        self._totals = Totals()

    async def read(self, comparison: Comparison) -> tuple[Load, ...]:
        """Return the load of each release that has an instance with a process; Unreachable where fleets cannot be seen.

        Memory is the resident set, in which processes of one instance count the pages that they share each for itself.
        """
        fleets = await self._fleets.observe(comparison.service)
        used = await asyncio.to_thread(measure, {i.pid for fleet in fleets for i in fleet.instances if i.pid})
        return self._totals.loads(comparison, [_usage(fleet, used) for fleet in fleets])


def _usage(fleet: Fleet, used: Mapping[int, Usage]) -> FleetUsage:
    return FleetUsage(
        slot=fleet.slot,
        release=fleet.release,
        instances={process_of(i.name, i): used.get(i.pid) for i in fleet.instances if i.pid},
    )


def measure(pids: Collection[int]) -> Mapping[int, Usage]:
    """Return what the process tree below each of ``pids`` uses; without those that are gone."""
    if not pids:
        return {}
    below: dict[int, list[psutil.Process]] = defaultdict(list)
    processes = {process.pid: process for process in psutil.process_iter(["ppid"])}
    for process in processes.values():
        below[process.info["ppid"]].append(process)
    used = {}
    for pid in pids & processes.keys():
        figures = [figure for process in _tree(processes[pid], below) for figure in _use(process)]
        used[pid] = Usage(cpu=sum(each.cpu for each in figures), memory=sum(each.memory for each in figures))
    return used


def _tree(top: psutil.Process, below: Mapping[int, list[psutil.Process]]) -> Iterator[psutil.Process]:
    yield top
    for child in below.get(top.pid, ()):
        yield from _tree(child, below)


def _use(process: psutil.Process) -> Iterator[Usage]:
    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info().rss
    except psutil.Error:
        return  # it ended meanwhile
    # What ended below it and was waited for is in the last two.
    yield Usage(times.user + times.system + times.children_user + times.children_system, memory)
