"""The audit: proves from the entries, their leaves and the signed checkpoints that nothing was changed, removed or reordered.

A leaf is what an entry says, field by field as netstrings: the length in bytes, a colon, the text, a comma. Beside each
leaf the log keeps its hash and those of the nodes that it completed. An entry that was changed no longer fits its leaf;
a leaf that was changed with it no longer fits the nodes above; and a log that was computed anew no longer fits what was
signed before.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput
from bleen.domain.ledger import Entry, kind_of, read_event, write_event
from bleen.domain.merkle import SIZE, Frontier, leaf_hash, root_of_inclusion
from bleen.domain.note import Checkpoint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST = 1000
"""Findings of one audit: a log that was computed anew would have one for each entry."""
_DIGITS = 12
"""Of the length of a field, at most."""
_PUZZLE = 64
"""Changed entries among which those that changed places are looked for."""


class Trace(StrEnum):
    """What is wrong with a log."""

    CHANGED = "changed"
    """An entry does not say what it said."""
    MOVED = "moved"
    """An entry says what another one said."""
    REMOVED = "removed"
    """An entry is gone."""
    ADDED = "added"
    """An entry was written past the log."""
    REORDERED = "reordered"
    """A leaf is not where it was."""
    NODES = "nodes"
    """A leaf, or a node above it, was changed."""
    REWRITTEN = "rewritten"
    """All fits together, and not with what was signed."""
    TRUNCATED = "truncated"
    """The log is shorter than it was."""
    FORGED = "forged"
    """A checkpoint is not signed by the key of the log."""
    RELEASE = "release"
    """A release is not the one that its entry tells of."""


class Finding(Value, frozen=True):
    """One thing that is wrong, and where."""

    trace: Trace
    first: int
    """The sequence of the first entry that it concerns; 0 where it concerns none."""
    last: int
    what: str
    """One sentence."""


class Kept(Value, frozen=True):
    """A leaf as it is kept."""

    leaf: int
    sequence: int
    hashes: bytes
    """Its hash, and those of the nodes that it completed."""


class Stretch(Value, frozen=True):
    """A part of a log: leaves that follow each other, and the contents of the entries up to the last of them."""

    leaves: tuple[Kept, ...]
    entries: dict[int, bytes]
    """By sequence. Behind the last leaf: entries that have none."""


class Promise(Value, frozen=True):
    """A checkpoint that was signed, and where it was kept since."""

    checkpoint: Checkpoint
    where: str


class AuditReport(Value, frozen=True):
    """What an audit found."""

    size: int
    """Entries."""
    root: str
    """The root of the log as it is, in hexadecimal."""
    checkpoints: int
    """Signed checkpoints that the log was held against."""
    sealed: int
    """The size that the last of them vouches for. What came after it is signed within seconds."""
    findings: tuple[Finding, ...]
    seconds: float
    checkpoint: str = ""
    """The signed checkpoint of this audit: a note. Empty where something is wrong, and nothing was signed."""
    key: str = ""
    """The public key that signs."""

    @property
    def clean(self) -> bool:
        """Whether nothing was changed, removed or reordered."""
        return not self.findings


class EntryProof(Value, frozen=True):
    """That one entry is in the log: what anyone can check with the public key and without the log."""

    entry: Entry
    content: str
    """The entry as it was hashed."""
    leaf: int
    proof: tuple[str, ...]
    """Hashes in hexadecimal, the nearest first."""
    checkpoint: str
    """The signed checkpoint that the proof leads to."""
    key: str


class Growth(Value, frozen=True):
    """That the log of now begins with the log of an earlier checkpoint."""

    old: int
    proof: tuple[str, ...]
    checkpoint: str
    key: str


def leaf_content(entry: Entry) -> bytes:
    """Return what is hashed of ``entry``."""
    micros = (entry.at - _EPOCH) // timedelta(microseconds=1)
    fields = (
        str(entry.sequence),
        str(micros),
        entry.key,
        entry.environment,
        entry.service,
        entry.rollout,
        kind_of(entry.event),
        entry.by,
        write_event(entry.event),
    )
    return b"".join(netstring(field.encode()) for field in fields)


def entry_of(content: bytes) -> Entry:
    """Return the entry whose `leaf_content` is ``content``; InvalidInput where it is none, or of another version of Bleen."""
    fields = _fields(content)
    try:
        sequence, micros, key, environment, service, rollout, _, by, body = (field.decode() for field in fields)
        at = _EPOCH + timedelta(microseconds=int(micros))
        return Entry(int(sequence), at, key, environment, service, read_event(body, f"ledger entry {sequence}"), by, rollout)
    except (ValueError, OverflowError) as error:
        raise InvalidInput("this is no entry of the log", why=str(error)) from error


def _fields(content: bytes) -> Iterator[bytes]:
    """Yield the byte strings whose `netstring`s ``content`` is; ValueError where it is something else."""
    while content:
        length, colon, rest = content.partition(b":")
        if not colon or not length.isdigit() or len(length) > _DIGITS:
            raise ValueError("a length is missing")
        end = int(length)
        if rest[end : end + 1] != b",":
            raise ValueError("a field is longer or shorter than is said")
        yield rest[:end]
        content = rest[end + 1 :]


def netstring(data: bytes) -> bytes:
    """Return ``data`` with its length before it."""
    return b"%d:%b," % (len(data), data)


def proves(proof: EntryProof, checkpoint: Checkpoint) -> bool:
    """Return whether ``proof`` shows that its entry is in the log that ``checkpoint`` vouches for."""
    content = proof.content.encode()
    if not content.startswith(_number(proof.entry.sequence)):
        return False
    hashes = [bytes.fromhex(text) for text in proof.proof]
    return root_of_inclusion(leaf_hash(content), proof.leaf, checkpoint.size, hashes) == checkpoint.root


def _number(sequence: int) -> bytes:
    """Return how the content of an entry begins."""
    return netstring(str(sequence).encode())


class Auditor:
    """Walks over a log from its first leaf to its last. Keeps a few hashes, whatever the length of the log."""

    def __init__(self, promises: Iterable[Promise]) -> None:
        self._promises = sorted(promises, key=lambda p: p.checkpoint.size)
        self.sealed = 0
        """The last size at which the log was what was signed."""
        self._sealed_sequence = 0
        self._tree = Frontier()
        self._sequence = 0
        """The sequence of the last leaf."""
        self._gap = False
        """A leaf is missing: from there on no root can be known."""
        self._changed: list[tuple[Kept, bytes]] = []
        self.findings: list[Finding] = []
        self._keep_promises()

    @property
    def size(self) -> int:
        """How many leaves it has seen."""
        return self._tree.size

    @property
    def root(self) -> bytes:
        """The root of what it has seen."""
        return self._tree.root()

    def take(self, stretch: Stretch) -> None:
        """Look at what comes next."""
        pointed = {kept.sequence for kept in stretch.leaves}
        for sequence in sorted(stretch.entries.keys() - pointed):
            self._find(Trace.ADDED, sequence, f"entry {sequence} was written past the log: it has no leaf")
        for kept in stretch.leaves:
            self._take_leaf(kept)
            self._take_entry(kept, stretch.entries.get(kept.sequence))

    def finish(self) -> tuple[Finding, ...]:
        """Return all findings, by the place of what they concern."""
        self._find_moved()
        if self._promises and not self._gap:
            last = self._promises[-1]
            size, where = last.checkpoint.size, last.where
            gone = size - self.size
            what = f"the log ends after {self.size} entries, and {where} vouches for {size}: the last {gone} are gone"
            self._find(Trace.TRUNCATED, self._sequence, what)
        return tuple(sorted(self.findings, key=lambda f: (f.first, f.last)))

    def _take_leaf(self, kept: Kept) -> None:
        if kept.leaf != self.size:
            self._find_gap(kept)
        if kept.sequence <= self._sequence:
            what = f"leaf {kept.leaf} is of entry {kept.sequence}, and stands behind that of entry {self._sequence}"
            self._find(Trace.REORDERED, kept.sequence, what)
        self._sequence = max(self._sequence, kept.sequence)
        hashes = self._tree.append(kept.hashes[:SIZE])
        if not self._gap and hashes != kept.hashes:
            self._find(
                Trace.NODES, kept.sequence, f"the hashes kept with entry {kept.sequence} do not fit the entries before it"
            )
        self._keep_promises()

    def _take_entry(self, kept: Kept, content: bytes | None) -> None:
        if content is None:
            self._find(Trace.REMOVED, kept.sequence, f"entry {kept.sequence} is gone: its leaf is there, and it is not")
        elif leaf_hash(content) != kept.hashes[:SIZE] and len(self._changed) < _MOST:
            self._changed.append((kept, content))

    def _find_gap(self, kept: Kept) -> None:
        if not self._gap:
            missing = (
                f"leaf {self.size} is gone" if kept.leaf == self.size + 1 else f"leaves {self.size} to {kept.leaf - 1} are gone"
            )
            what = f"{missing}, between the entries {self._sequence} and {kept.sequence}"
            self._find(Trace.REMOVED, self._sequence + 1, what, kept.sequence - 1)
        self._gap = True

    def _keep_promises(self) -> None:
        """Hold the log against what was signed of it at its present size."""
        while self._promises and self._promises[0].checkpoint.size == self.size and not self._gap:
            promise = self._promises.pop(0)
            if promise.checkpoint.root == self.root:
                self.sealed, self._sealed_sequence = self.size, self._sequence
            elif not any(f.trace is Trace.REWRITTEN for f in self.findings):
                first = self._sealed_sequence + 1
                what = f"between the entries {first} and {self._sequence} the log is not what {promise.where} vouches for"
                self._find(Trace.REWRITTEN, first, what, self._sequence)

    def _find_moved(self) -> None:
        """Say of each changed entry whether it says what another one said."""
        wanted = {kept.sequence: kept.hashes[:SIZE] for kept, _ in self._changed[:_PUZZLE]}
        for kept, content in self._changed:
            body = content[len(_number(kept.sequence)) :]
            origin = next((s for s, said in wanted.items() if leaf_hash(_number(s) + body) == said), None)
            if origin is None:
                self._find(Trace.CHANGED, kept.sequence, f"entry {kept.sequence} does not say what it said when it was written")
            else:
                self._find(
                    Trace.MOVED, kept.sequence, f"entry {kept.sequence} says what entry {origin} said: they were reordered"
                )

    def _find(self, trace: Trace, first: int, what: str, last: int = 0) -> None:
        if len(self.findings) < _MOST:
            self.findings.append(Finding(trace, first, last or first, what))
