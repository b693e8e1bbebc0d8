"""What Azure tells a machine of itself: its Instance Metadata Service, which answers on the machine alone, and no one else.

From Microsoft's *Azure Instance Metadata Service* and *Scheduled Events for Linux VMs*: the header, no proxy, at most five
requests a second, every value a string, an empty one where there is none.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import Unreachable
from bleen.providers.transport import httpx

ADDRESS = "http://169.254.169.254"
_INSTANCE = "2021-12-13"
_EVENTS = "2020-07-01"
_SECONDS = 5.0
_FIRST_EVENTS_SECONDS = 150.0
"""The first answer on events may take two minutes: it turns them on."""
_ENDING = ("terminate", "preempt")
T = TypeVar("T")


class MachineTold(Value, frozen=True):
    """This machine, as Azure has it."""

    scale_set: str
    name: str
    address: str
    """Its private address: where its instance listens."""
    user_data: str
    """In base64, as the scale set had it when the machine was made."""


class Event(Value, frozen=True):
    """Something that Azure is about to do to machines of the same scale set."""

    id: str
    kind: str
    """``Terminate``, ``Preempt``, ``Reboot``, ``Redeploy``, ``Freeze``."""
    machines: tuple[str, ...]
    started: bool = False
    """Whether it is no longer waiting for anybody's approval."""

    def ends(self, machine: str) -> bool:
        """Return whether ``machine`` will not come back from it."""
        return self.kind.lower() in _ENDING and machine.lower() in {each.lower() for each in self.machines}

    def concerns_only(self, machine: str) -> bool:
        """Return whether ``machine`` may approve it: an approval counts for every machine that it names."""
        return {each.lower() for each in self.machines} == {machine.lower()}


class _Open(Value, frozen=True, forbid_unknown_fields=False):
    """Of Azure's answers only what is needed is read."""


class _Id(_Open, frozen=True):
    id: str = ""


class _Compute(_Open, frozen=True, rename="camel"):
    name: str
    user_data: str = ""
    vm_scale_set_name: str = ""
    virtual_machine_scale_set: _Id = _Id()
    """Of a Flexible one; it may be there without the name."""


class _Address(_Open, frozen=True, rename="camel"):
    private_ip_address: str


class _Ipv4(_Open, frozen=True, rename="camel"):
    ip_address: tuple[_Address, ...]


class _Interface(_Open, frozen=True):
    ipv4: _Ipv4


class _Network(_Open, frozen=True):
    interface: tuple[_Interface, ...]


class _Instance(_Open, frozen=True):
    compute: _Compute
    network: _Network


class _Event(_Open, frozen=True, rename="pascal"):
    event_id: str
    event_type: str
    resources: tuple[str, ...] = ()
    event_status: str = ""


class _Events(_Open, frozen=True, rename="pascal"):
    events: tuple[_Event, ...] = ()


class Metadata:
    """Asks it. Every verb raises Unreachable where there is no good answer, which is never for good."""

    def __init__(self, address: str = ADDRESS) -> None:
        self._client = httpx.AsyncClient(
            base_url=address, headers={"Metadata": "true"}, timeout=_SECONDS, trust_env=False, verify=False
        )

    async def machine(self) -> MachineTold:
        """Return what this machine is, and what it is told."""
        return read_machine(await self._ask("GET", f"/metadata/instance?api-version={_INSTANCE}"))

    async def events(self) -> Sequence[Event]:
        """Return what is about to happen to machines of this machine's scale set, itself among them."""
        path = f"/metadata/scheduledevents?api-version={_EVENTS}"
        return read_events(await self._ask("GET", path, patience=_FIRST_EVENTS_SECONDS))

    async def approve(self, event: Event) -> None:
        """Let ``event`` happen now, to all machines that it names; again is the same."""
        body = encode({"StartRequests": [{"EventId": event.id}]})
        await self._ask("POST", f"/metadata/scheduledevents?api-version={_EVENTS}", body)

    async def close(self) -> None:
        """Give back the sockets."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: bytes | None = None, patience: float = _SECONDS) -> bytes:
        try:
            answer = await self._client.request(method, path, content=body, timeout=patience)
        except httpx.HTTPError as error:
            raise _unreachable(str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            raise _unreachable(f"{answer.status_code}: {answer.text[:200]}")
        return answer.content


def read_machine(data: bytes) -> MachineTold:
    """Return the machine that an answer describes; Unreachable where it describes none of a scale set."""
    found: _Instance = _read(data, _Instance)
    compute = found.compute
    scale_set = compute.vm_scale_set_name or compute.virtual_machine_scale_set.id.rpartition("/")[2]
    addresses = [each.private_ip_address for card in found.network.interface for each in card.ipv4.ip_address]
    if not (scale_set and compute.name and addresses):
        raise _unreachable("it names no scale set, no machine, or no address of it")
    return MachineTold(scale_set, compute.name, addresses[0], compute.user_data)


def read_events(data: bytes) -> Sequence[Event]:
    """Return the events that an answer lists; Unreachable where it is none."""
    found: _Events = _read(data, _Events)
    return [Event(e.event_id, e.event_type, e.resources, e.event_status.lower() == "started") for e in found.events]


def _read(data: bytes, kind: type[T]) -> T:
    try:
        return decode(data, kind)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _unreachable(str(error)) from error


def _unreachable(why: str) -> Unreachable:
    next = "it is asked again; on a machine in Azure: curl -H Metadata:true 'http://169.254.169.254/metadata/versions'"
    return Unreachable("Azure's metadata service has no good answer", why=why, next=next)
