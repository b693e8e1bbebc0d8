"""The notary: signs what the log is, proves what is in it, and finds what was done to it.

It never signs a log that does not begin with the one it signed last, which it remembers outside of the database: what
was rewritten there stays visible.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from bleen.domain.audit import Auditor, AuditReport, EntryProof, Finding, Growth, Promise, Trace, entry_of, proves
from bleen.domain.codec import encode
from bleen.domain.errors import BleenError, Conflict, InvalidInput
from bleen.domain.ledger import Entry, Query, ReleaseMade
from bleen.domain.merkle import EMPTY, Range, consistency, cover, inclusion, range_hash
from bleen.domain.note import Checkpoint, open_note, read_checkpoint, sign_note
from bleen.domain.release import Release
from bleen.ports import Ledger, Log, Seal

log = logging.getLogger("bleen.notary")

EVERY = timedelta(seconds=5)
"""How long an entry may be without a signature over it."""
_PAGE = 1000


class Notary:
    """Stands between the log and those who want to believe it."""

    def __init__(self, ledger: Ledger, records: Log, seal: Seal) -> None:
        self._ledger = ledger
        self._log = records
        self._seal = seal
        self._auditing = asyncio.Lock()
        self._sealing = asyncio.Lock()

    async def run(self) -> None:
        """Sign what is new, every few seconds, until cancelled."""
        told = ""
        while True:
            try:
                await self.seal()
                told = ""
            except BleenError as error:
                if str(error) != told:
                    log.error("%s", error)
                told = str(error)
            await asyncio.sleep(EVERY.total_seconds())

    async def seal(self) -> str:
        """Return a signed checkpoint of the log as it is; Conflict where it does not begin with the last one."""
        async with self._sealing:
            size, last = await self._log.size(), self._last()
            if last is not None and (size < last.size or await self._root(last.size) != last.root):
                raise _not_as_signed("the audit log is not signed any more", last.size)
            if last is not None and size == last.size:
                return self._seal.last()
            return await self._sign(size)

    async def verify(self) -> AuditReport:
        """Read all of the log, and return what is wrong with it. One at a time; others wait."""
        async with self._auditing:
            began = time.monotonic()
            promises, findings = await self._promises()
            count = len(promises)
            auditor = Auditor(promises)
            async for stretch in self._log.walk():
                await asyncio.to_thread(auditor.take, stretch)  # a second for each 100,000 entries, and requests go on
            findings = (*findings, *auditor.finish(), *await self._releases())
            note = "" if findings else await self.seal()
            return AuditReport(
                size=auditor.size,
                root=auditor.root.hex(),
                checkpoints=count,
                sealed=self._checkpoint(note).size if note else auditor.sealed,
                findings=findings,
                seconds=time.monotonic() - began,
                checkpoint=note,
                key=str(self._seal.verifier),
            )

    async def prove(self, sequence: int) -> EntryProof:
        """Return the proof that an entry is in the log; NotFound, or Conflict where it is not what was signed."""
        leaf, content = await self._log.content(sequence)
        note, checkpoint = await self._over(leaf)
        proof = await self._hashes(inclusion(leaf, checkpoint.size))
        found = EntryProof(entry_of(content), content.decode(), leaf, proof, note, str(self._seal.verifier))
        if not proves(found, checkpoint):
            raise _not_as_signed(f"entry {sequence} cannot be proved", checkpoint.size)
        return found

    async def grown(self, old: int) -> Growth:
        """Return the proof that the log of now begins with the one of ``old`` entries; InvalidInput where it is shorter."""
        note = await self.seal()
        size = self._checkpoint(note).size
        if not 0 <= old <= size:
            raise InvalidInput(f"the log has {size} entries, and not {old}", why="it was longer once, or is another log")
        return Growth(old, await self._hashes(consistency(old, size)), note, str(self._seal.verifier))

    async def _over(self, leaf: int) -> tuple[str, Checkpoint]:
        """Return a signed checkpoint that covers ``leaf``: the last one, where it does."""
        note = self._seal.last()
        last = self._checkpoint(note) if note else None
        if last is None or last.size <= leaf:
            note = await self.seal()
            last = self._checkpoint(note)
        return note, last

    async def _sign(self, size: int) -> str:
        verifier = self._seal.verifier
        checkpoint = Checkpoint(verifier.name, size, await self._root(size))
        note = sign_note(checkpoint.text, verifier, self._seal.sign)
        await self._log.seal(checkpoint, note)
        self._seal.keep(note)
        return note

    async def _root(self, size: int) -> bytes:
        if size == 0:
            return EMPTY
        nodes = cover((0, size))
        known = await self._log.nodes(nodes)
        return range_hash((0, size), known) if len(known) == len(nodes) else b""

    async def _hashes(self, spans: Sequence[Range]) -> tuple[str, ...]:
        known = await self._log.nodes({node for span in spans for node in cover(span)})
        return tuple(range_hash(span, known).hex() for span in spans)

    async def _promises(self) -> tuple[list[Promise], tuple[Finding, ...]]:
        """Return what was signed, here and in the database, and what of it was not signed by this key."""
        notes = [(note, f"checkpoint {n} of the database") for n, note in enumerate(await self._log.notes(), 1)]
        last = self._seal.last()
        promises, findings = [], []
        for note, where in [*notes, *([(last, "the checkpoint in the home")] if last else [])]:
            try:
                promises.append(Promise(self._checkpoint(note), where))
            except InvalidInput as error:
                findings.append(Finding(Trace.FORGED, 0, 0, f"{where} is not one of ours: {error.why}"))
        return promises, tuple(findings)

    async def _releases(self) -> tuple[Finding, ...]:
        """Return the releases that are not what their entries tell."""
        findings: list[Finding] = []
        kept: dict[str, dict[int, Release]] = {}
        after = 0
        try:
            while entries := await self._ledger.read(Query(kinds=("release-made",), after=after, limit=_PAGE)):
                for entry in entries:
                    if entry.service not in kept:
                        kept[entry.service] = {r.number: r for r in await self._ledger.releases(entry.service)}
                    findings += _release_findings(entry, kept[entry.service])
                after = entries[-1].sequence
        except InvalidInput as error:
            findings.append(Finding(Trace.RELEASE, after + 1, after + 1, f"a release cannot be read: {error.why}"))
        return tuple(findings)

    def _last(self) -> Checkpoint | None:
        note = self._seal.last()
        return self._checkpoint(note) if note else None

    def _checkpoint(self, note: str) -> Checkpoint:
        return read_checkpoint(open_note(note, self._seal.verifier, self._seal.verify))


def _not_as_signed(what: str, size: int) -> Conflict:
    return Conflict(
        f"{what}: the log does not begin with the {size} entries that were signed",
        why="entries were changed or removed in the database",
        next="bleen audit verify says which",
    )


def _release_findings(entry: Entry, kept: dict[int, Release]) -> list[Finding]:
    assert isinstance(entry.event, ReleaseMade)
    told = entry.event.release
    found = kept.get(told.number)
    if found is not None and encode(found) == encode(told):
        return []
    state = "gone" if found is None else "another one than was made"
    what = f"release {told.name} of {told.service} is {state}: entry {entry.sequence} tells of it"
    return [Finding(Trace.RELEASE, entry.sequence, entry.sequence, what)]
