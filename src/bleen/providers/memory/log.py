"""The Merkle log over a ledger in memory, and a key that is forgotten with it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from bleen.domain.audit import Kept, Stretch, leaf_content
from bleen.domain.errors import NotFound
from bleen.domain.ledger import Query
from bleen.domain.merkle import SIZE, Frontier, Node, completing, leaf_hash
from bleen.domain.note import Checkpoint, Verifier
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.signing import make_key, public_of, sign, verify


class MemoryLog:
    """Keeps the port `Log`. Grows by what the ledger has more, whenever it is asked."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._tree = Frontier()
        self._kept: list[Kept] = []
        self._contents: list[bytes] = []
        self._notes: dict[int, str] = {}

    async def size(self) -> int:
        await self._grow()
        return self._tree.size

    async def content(self, sequence: int) -> tuple[int, bytes]:
        await self._grow()
        if not 1 <= sequence <= len(self._kept):
            raise NotFound(f"there is no entry {sequence} in the log", next="bleen audit lists them")
        return sequence - 1, self._contents[sequence - 1]

    async def nodes(self, wanted: Collection[Node]) -> Mapping[Node, bytes]:
        await self._grow()
        there = [node for node in wanted if completing(node) < len(self._kept)]
        return {node: self._kept[completing(node)].hashes[node[0] * SIZE :][:SIZE] for node in there}

    async def walk(self) -> AsyncIterator[Stretch]:
        await self._grow()
        yield Stretch(tuple(self._kept), {k.sequence: c for k, c in zip(self._kept, self._contents, strict=True)})

    async def seal(self, checkpoint: Checkpoint, note: str) -> None:
        self._notes.setdefault(checkpoint.size, note)

    async def notes(self) -> Sequence[str]:
        return [self._notes[size] for size in sorted(self._notes)]

    async def _grow(self) -> None:
        for entry in await self._ledger.read(Query(after=len(self._kept), limit=1_000_000)):
            content = leaf_content(entry)
            self._kept.append(Kept(self._tree.size, entry.sequence, self._tree.append(leaf_hash(content))))
            self._contents.append(content)


class MemorySeal:
    """Keeps the port `Seal`."""

    def __init__(self, name: str = "memory") -> None:
        self._secret = make_key()
        self._verifier = Verifier(name, public_of(self._secret))
        self._last = ""

    @property
    def verifier(self) -> Verifier:
        return self._verifier

    def sign(self, text: bytes) -> bytes:
        return sign(self._secret, text)

    def verify(self, public: bytes, signature: bytes, text: bytes) -> bool:
        return verify(public, signature, text)

    def last(self) -> str:
        return self._last

    def keep(self, note: str) -> None:
        self._last = note
