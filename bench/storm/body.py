"""The processes of one platform, as the kernel knows them: whom a fault hits, and who must not be left over."""

import os
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bleen.providers.local.process import command_line, marked, topmost
from bleen.providers.local.watchdog import agent_pid


class Body:
    """Everything that runs for one home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def part(self, name: str) -> int | None:
        """Return the leader of a part."""
        found = topmost(set(marked({"BLEEN_HOME": str(self.home), "BLEEN_PART": name})))
        return min(found, default=None)

    def agent(self) -> int | None:
        """Return the host agent."""
        return agent_pid(self.home) or None

    def watchdogs(self) -> set[int]:
        """Return the shells that keep the agent alive."""
        return {pid for pid in marked({"BLEEN_HOME": str(self.home)}) if b"bleen-watchdog" in command_line(pid)}

    def strangers(self, instances: Iterable[str]) -> list[str]:
        """Return what runs and should not: instances of no fleet, parts twice, agents and watchdogs beside the one."""
        found = marked({"BLEEN_HOME": str(self.home)})
        allowed = set(instances)
        names = {env["BLEEN_INSTANCE"] for env in found.values() if "BLEEN_INSTANCE" in env}
        wrong = [f"the instance {name} runs and is in no fleet" for name in sorted(names - allowed)]
        leaders = Counter(found[pid].get("BLEEN_PART", "") for pid in topmost(set(found)))
        leaders.update(found[pid].get("BLEEN_PART", "") for pid in found if _inner_leader(pid, found))
        wrong += [f"the part {part} runs {count} times" for part, count in leaders.items() if part and count > 1]
        if len(self.watchdogs()) != 1:
            wrong.append(f"there are {len(self.watchdogs())} watchdogs")
        agents = [pid for pid in found if b"bleen.app\0agent" in command_line(pid) and pid not in self.watchdogs()]
        if len(agents) != 1:
            wrong.append(f"there are {len(agents)} host agents")
        return wrong


def _inner_leader(pid: int, found: dict[int, dict[str, str]]) -> bool:
    """Whether it leads a part although its parent, the agent, is one of ours too."""
    part = found[pid].get("BLEEN_PART")
    parent = parent_of(pid)
    return bool(part) and parent in found and found[parent].get("BLEEN_PART") != part


def parent_of(pid: int) -> int:
    """Return the parent; 0 where there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def children_of(pid: int) -> list[int]:
    """Return the children."""
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and parent_of(int(p.name)) == pid]


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> bool:
    """Return whether there was somebody to send the signal to."""
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def kill_group(pid: int | None) -> bool:
    """SIGKILL to the process group of ``pid``."""
    if pid is None:
        return False
    try:
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
