"""What the agent keeps on disk, so that the next agent can go on with it."""

from datetime import datetime

from bleen.domain.codec import Value
from bleen.domain.fleet import FleetOrder, InstanceState, Isolation
from bleen.providers.local.process import ProcessId


class FleetRecord(Value, frozen=True):
    """What is kept of a fleet."""

    order: FleetOrder
    retiring: bool = False
    """Its end was accepted: the next agent goes on with it."""


class InstanceRecord(Value, frozen=True):
    """What is kept of an instance, so that the next agent can go on with it."""

    number: int
    name: str
    address: str
    since: datetime
    state: InstanceState = InstanceState.STARTING
    restarts: int = 0
    streak: int = 0
    """Failures in a row, for the back-off."""
    last_exit: str = ""
    last_words: str = ""
    isolation: Isolation = Isolation.PROCESS
    process: ProcessId | None = None
