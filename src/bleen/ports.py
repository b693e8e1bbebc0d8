"""What Bleen needs of the world. A provider keeps a port when it passes the port's kit in tests/contracts/.

Every verb may raise `errors.Unreachable`; a verb that writes is idempotent (it ensures a state, so that doing it
twice is doing it once) and is paired with one that observes.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bleen.domain.audit import Stretch
from bleen.domain.base import HOST, BaseOrder, Locked, Stage
from bleen.domain.calendar import Holiday, PublicHolidays
from bleen.domain.canary import Metric
from bleen.domain.check import Check, CheckResult, CheckTime
from bleen.domain.comparison import Comparison
from bleen.domain.finding import Scan
from bleen.domain.fleet import Fleet, FleetOrder, LogLine, Slot
from bleen.domain.image import Digest, File, Image, Source
from bleen.domain.inventory import BillFormat
from bleen.domain.issuer import Claims, DeviceErrand, Errand
from bleen.domain.ledger import Draft, Entry, Query
from bleen.domain.merkle import Node
from bleen.domain.note import Checkpoint, Verifier
from bleen.domain.notice import Dispatch, Notice
from bleen.domain.patching import Patching
from bleen.domain.pipeline import Carried, Making, Plan
from bleen.domain.provenance import Provenance
from bleen.domain.release import Release
from bleen.domain.signals import Sample
from bleen.domain.trace import Span
from bleen.domain.traffic import Backend, GatewaySeen, Route


class Images(Protocol):
    """Builds images and keeps them."""

    async def build(self, name: str, source: Source, folder: Path, base: str = HOST) -> Image:
        """Return the image of ``source``, whose paths are relative to ``folder``; built only where it is not there yet.

        It stands on ``base``, the digest of an image that is there, or on the machine itself. BuildFailed says what the
        source lacks; StorageFull leaves nothing half-published.
        """

    async def rebase(self, digest: Digest, base: Digest) -> Image:
        """Return the image that has the files of ``digest``, to the byte, and stands on another ``base``.

        NotFound; ImageRejected where the image may not start itself; BuildFailed where it has no base, or was made for
        another runtime than the new one has.
        """

    async def find(self, digest: Digest) -> Image:
        """Return the image; NotFound."""

    async def files(self, digest: Digest) -> Sequence[File]:
        """Return every file of the image, by path; NotFound."""

    async def verify(self, digest: Digest) -> Provenance:
        """Read every byte again, and return what is signed of it.

        ImageRejected says which file is not what it was, or why no signature counts (law 6).
        """

    async def list(self) -> Sequence[Image]:
        """Return every image, newest first."""

    async def remove(self, digest: Digest) -> None:
        """Forget the image; its blobs go where no other image shares them. Nothing happens where it is not there.

        Conflict where another image stands on it.
        """


Tell = Callable[[Stage], None]
"""Hears of every stage of a build as it ends."""


class Bases(Protocol):
    """Builds base images: what images of applications stand on. They are kept among the images."""

    async def build(self, order: BaseOrder, tell: Tell) -> Image:
        """Return the base image of a recipe, by its lock; the lock is made where there is none.

        Unreachable where no mirror answers, NotFound where none is known, and neither of them where all is there already;
        BuildFailed where a mirror lies, or lacks a package; StorageFull leaves nothing half-published.
        """

    async def renew(self, digest: Digest, tell: Tell) -> Image:
        """Return the base of ``digest``, which is a base or stands on one, built anew with what the mirror has now.

        By its own recipe, whatever the file says by now. It is the same image where nothing is newer. NotFound where there
        is no such base; else as `build`.
        """

    async def packages(self, digest: Digest) -> Sequence[Locked]:
        """Return the packages of a base image, or of the one that an image stands on, by name; NotFound."""

    async def patching(self, digest: Digest) -> Patching:
        """Return which published fixes the image has not, asked now; NotFound.

        Where nobody can be asked, its ``trouble`` says so: nothing else is raised.
        """


class Builder(Protocol):
    """Builds images stage by stage. What a stage made is a candidate: it survives the process, and nothing starts from it."""

    async def begin(self, making: Making) -> Plan:
        """Pin every input, and return what is to be done. Errors as of `Bases.build`, `Images.build` and `Images.rebase`."""

    async def carry_out(self, key: Digest, stage: str) -> Carried:
        """Carry out a stage of a plan, unless a build with the same inputs did; of two at once one does, the other waits.

        Stages before it that are gone are carried out first. NotFound where there is no such plan (any more); errors as of
        `begin`.
        """

    async def find(self, digest: Digest) -> Image:
        """Return the image, or what the candidate of it will be; NotFound."""

    async def publish(self, key: Digest, digest: Digest) -> Image:
        """Make the candidate ``digest`` of a plan an image, whole or not at all; the image where that was done already.

        ImageRejected where the candidate is not any more what was looked at; StorageFull leaves nothing half-published.
        """


class Scanner(Protocol):
    """Looks into images, and into candidates. Reads only."""

    async def bill(self, digest: Digest, form: BillFormat) -> str:
        """Return the bill of materials of the image and its base, in JSON: equal images, equal bytes; NotFound."""

    async def scan(self, digest: Digest) -> Scan:
        """Return what is wrong with the image and its base, and what nobody could look at; NotFound. Never raises Unreachable:
        a source that does not answer is a finding.
        """

    async def comply(self, digest: Digest) -> Scan:
        """Return which rules of configuration the image and its base break, and which nobody could check; NotFound."""


class Fleets(Protocol):
    """Runs instances. Keeps a fleet as ordered, with nobody watching: replaces what crashed, adopts what ran."""

    async def launch(self, order: FleetOrder) -> None:
        """Make the fleet so, or be on its way: returns before instances are ready. Also resizes.

        Its image is verified before the first instance starts (ImageRejected). Conflict where the slot holds
        another release.
        """

    async def retire(self, slot: Slot, release: int) -> None:
        """End the fleet: out of every gateway, drained, stopped, gone. Returns when it is gone.

        LawBroken(3) where a gateway is observed to route to it. Nothing happens where the slot is empty or holds
        another release.
        """

    async def observe(self, service: str = "") -> Sequence[Fleet]:
        """Return the fleets of ``service``, or of all."""

    def logs(self, service: str, *, instance: str = "", lines: int = 100, follow: bool = False) -> AsyncIterator[LogLine]:
        """Yield the last ``lines`` lines of each instance in order of time, then new ones while ``follow``."""


class Gateway(Protocol):
    """The gateways of one or more regions: which share of a service's requests goes where."""

    async def set_route(self, route: Route, generation: int) -> None:
        """Give every gateway ``route``, and return when each one reports it.

        StaleGeneration where one has a larger generation; NotConverged where one does not report it in time;
        NotFound where ``route`` gives weight to a backend that a gateway does not know.
        """

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Answer 404 for the service at every gateway."""

    async def observe(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        """Return what each gateway *has* of the service, read from the gateway; never raises for a silent one."""

    async def hosts(self) -> Mapping[str, str]:
        """Return which service, as ``dev/hello``, answers to which host name at any gateway, previews included.

        Unreachable where a gateway is silent and has left no record.
        """


class Backends(Protocol):
    """The other half of a gateway, used by what runs instances: who stands behind each backend."""

    async def set_backend(self, backend: Backend) -> None:
        """Give every gateway exactly these endpoints, and return when each one reports them."""

    async def remove_backend(self, name: str) -> None:
        """Forget the backend; LawBroken(3) where a gateway is observed to route to it."""

    async def routed(self, name: str) -> bool:
        """Return whether some gateway is observed to name the backend in a route; True where one is silent."""

    async def active(self, name: str, address: str) -> int:
        """Return the requests under way to one endpoint, over all gateways that answer."""


class Ledger(Protocol):
    """The append-only record."""

    async def append(self, draft: Draft) -> Entry:
        """Return the entry, durably written. A key that is there already returns the entry it made then."""

    async def read(self, query: Query) -> Sequence[Entry]:
        """Return the entries that match."""

    async def make_release(self, release: Release) -> Release:
        """Return ``release`` under its number: the next one of its service (its own ``number`` is ignored).

        An equal one (image, config, flags, schema version) keeps the number and the date that it was made with.
        """

    async def release(self, service: str, number: int) -> Release:
        """Return the release; NotFound."""

    async def releases(self, service: str) -> Sequence[Release]:
        """Return the releases of ``service``, newest first."""


class Log(Protocol):
    """The Merkle log over the ledger: an append to the ledger writes its leaf too, or nothing."""

    async def size(self) -> int:
        """Return the number of leaves."""

    async def content(self, sequence: int) -> tuple[int, bytes]:
        """Return the leaf of an entry, and the content that it is the hash of; NotFound."""

    async def nodes(self, wanted: Collection[Node]) -> Mapping[Node, bytes]:
        """Return the hashes of ``wanted``; those that are not complete yet are left out."""

    def walk(self) -> AsyncIterator[Stretch]:
        """Yield all of the log as it is at the beginning, whatever was done to it; the last stretch may have no leaves."""

    async def seal(self, checkpoint: Checkpoint, note: str) -> None:
        """Keep a signed checkpoint; the first of a size stays."""

    async def notes(self) -> Sequence[str]:
        """Return every signed checkpoint, the smallest first."""


class Seal(Protocol):
    """Signs checkpoints, and remembers the last one where whoever can write to the database cannot."""

    @property
    def verifier(self) -> Verifier:
        """The public half of the key."""

    def sign(self, text: bytes) -> bytes:
        """Return a signature."""

    def verify(self, public: bytes, signature: bytes, text: bytes) -> bool:
        """Return whether ``signature`` is of ``text``, by the key ``public``."""

    def last(self) -> str:
        """Return the last checkpoint that was kept; empty where none was."""

    def keep(self, note: str) -> None:
        """Remember ``note`` in place of the one before, durably."""


class Metrics(Protocol):
    """Counts what requests meet. Reads only; what a verdict needs of the past is kept by whoever asks."""

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases of ``comparison``, and the ``custom`` metrics, as they are now.

        Of the baseline those of its baseline fleet alone, or of all but that one (`Comparison.counts`).
        Unreachable where nobody counts: a gateway is silent, Prometheus is away. A custom metric that cannot be read is
        among the sample's ``failures``, and raises nothing.
        """


class Prober(Protocol):
    """Runs checks on a release."""

    async def run(self, check: Check, when: CheckTime, *, service: str, release: int) -> CheckResult:
        """Return what the check saw, asking the release by its header; a time-out is a failure, never an error."""

    async def visit(self, path: str, count: int, *, service: str, release: int, baseline: bool = False) -> None:
        """Ask the release ``count`` times by its header, and look at no answer: the gateway counts them. Raises nothing.

        ``baseline`` asks the baseline fleet beside it.
        """


class Secrets(Protocol):
    """Reads secrets where an instance is started; values are never stored or logged."""

    async def resolve(self, name: str) -> str:
        """Return the value; NotFound says where it should be put. Unreachable where nobody can say."""


class Almanac(Protocol):
    """Knows public holidays."""

    def holidays(self, asked: PublicHolidays, years: Iterable[int]) -> Sequence[Holiday]:
        """Return those of ``years``, by day; InvalidInput, with what there is, where it knows no such country or part."""


class Notices(Protocol):
    """Tells people what they should hear of without looking: each of its channels by itself."""

    async def channels(self, notice: Notice) -> Sequence[str]:
        """Return the names of the channels that are to hear of ``notice``."""

    async def tell(self, dispatch: Dispatch, channel: str) -> None:
        """Tell it to one of them. Unreachable where it did not get through; it may have."""


class Traces(Protocol):
    """Tells what rollouts did, as spans, to whoever collects those."""

    async def told(self) -> int:
        """Return up to which entry of the ledger everything was told; 0 where nothing ever was."""

    async def tell(self, spans: Sequence[Span], upto: int) -> None:
        """Tell ``spans``, and remember that this was all up to the entry ``upto``. Unreachable: nothing is remembered."""


class Issuers(Protocol):
    """OpenID Connect issuers, who know people and programs. What comes back was checked against the issuer's own keys.

    InvalidInput: what was brought counts for nothing, and why. Nothing here is ever done twice by the same code.
    """

    async def begin(self, redirect: str) -> Errand:
        """Return where a browser is sent so that somebody signs in; it comes back to ``redirect``."""

    async def finish(self, errand: Errand, code: str) -> Claims:
        """Return who signed in, by the code that came back."""

    async def begin_device(self) -> DeviceErrand:
        """Return what somebody confirms in any browser; NotFound where the issuer has no such thing."""

    async def finish_device(self, errand: DeviceErrand) -> Claims | None:
        """Return who confirmed it; None while nobody has; Forbidden where they said no."""

    async def read(self, token: str) -> Claims:
        """Return whom a program's token speaks for: signed, for our audience, and neither expired nor too early."""
