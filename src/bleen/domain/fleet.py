"""Fleets: the instances of one release in one colour of one region."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Value
from bleen.domain.errors import Conflict
from bleen.domain.image import Digest
from bleen.domain.release import Runtime
from bleen.domain.traffic import Colour, place


class Slot(Value, frozen=True):
    """The place of a fleet: one colour of one service in one region of one environment, or beside it."""

    environment: str
    region: str
    service: str
    colour: Colour
    baseline: bool = False
    """Whether it is the place beside the colour's own: of the fleet that a canary is compared with."""

    @property
    def place(self) -> str:
        """``blue``, or ``blue-baseline``."""
        return place(self.colour, self.baseline)

    def __str__(self) -> str:
        return f"{self.environment}/{self.region}/{self.service}/{self.place}"


class InstanceState(StrEnum):
    """The life of an instance, in this order; CRASHED returns to STARTING after a back-off."""

    STARTING = "starting"
    READY = "ready"
    SICK = "sick"
    """It was ready, and fails its health path now."""
    CRASHED = "crashed"
    DRAINING = "draining"
    """It left the gateway and finishes its requests."""


class Isolation(StrEnum):
    """How far an instance is kept from the machine."""

    SANDBOX = "sandbox"
    """bubblewrap: own process tree, read-only root, no capabilities."""
    PROCESS = "process"
    """A plain process: the machine refuses user namespaces."""


class Instance(Value, frozen=True):
    """One running copy of a release, as its machine sees it."""

    name: str
    """``hello-green-r3-2``, ``hello-green-baseline-r3-2``: unique on the machine, and the name of its log."""
    address: str
    port: int
    state: InstanceState
    since: datetime
    """When it came into this state."""
    restarts: int = 0
    """How often it was started again after a crash, in this fleet."""
    last_exit: str = ""
    """How it last ended, for people: ``exit 1``, ``signal 9``, ``health path failed 3 times``."""
    last_words: str = ""
    """The last lines of its log when it ended."""
    isolation: Isolation = Isolation.PROCESS
    pid: int = 0


class Fleet(Value, frozen=True):
    """A fleet as it was seen."""

    slot: Slot
    release: int
    size: int
    """How many instances it ought to have."""
    instances: tuple[Instance, ...] = ()

    @property
    def ready(self) -> int:
        """How many instances are ready for traffic."""
        return sum(i.state is InstanceState.READY for i in self.instances)


class FleetOrder(Value, frozen=True):
    """What a fleet ought to be: enough to run it with no ledger and no network."""

    slot: Slot
    release: int
    image: Digest
    size: Annotated[int, Meta(ge=1)]
    runtime: Runtime


class LogLine(Value, frozen=True):
    """One line that an instance wrote."""

    instance: str
    at: datetime
    text: str


def refuse_change(there: FleetOrder, order: FleetOrder, *, retiring: bool) -> None:
    """Refuse what is not the same release in another size where ``there`` runs: a release never changes. Conflict."""
    slot = order.slot
    if there.release != order.release:
        raise Conflict(f"{slot} holds r{there.release}", why=f"r{order.release} cannot start there", next="retire it first")
    if retiring:
        raise Conflict(f"{slot} is being retired", next="try again when it is gone: bleen status")
    if (there.image, there.runtime) != (order.image, order.runtime):
        raise Conflict(
            f"r{order.release} of {slot.service} is not what it was", why="a release never changes", next="deploy a new one"
        )
