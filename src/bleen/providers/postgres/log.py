"""The Merkle log over the ledger, on PostgreSQL. The database writes it with each append: migrations/0002_log.sql."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from bleen.domain.audit import Kept, Stretch
from bleen.domain.errors import NotFound
from bleen.domain.merkle import SIZE, Node, completing
from bleen.domain.note import Checkpoint
from bleen.providers.postgres.database import Database

PAGE = 4000
"""Leaves that are read at once."""

_FIELDS = ("sequence::text", "(extract(epoch from at) * 1000000)::bigint::text", "key", "environment", "service", "rollout")
# Spelt out, and not asked of a function of the database: whoever changes entries could change that as well.
CONTENT = "||".join(f"octet_length({f})||':'||{f}||','" for f in (*_FIELDS, "kind", "by", "body"))
ENTRIES = f"select sequence, convert_to({CONTENT}, 'UTF8') from bleen.entries where sequence > %s and sequence <= %s"
LEAVES = "select leaf, sequence, hashes from bleen.leaves where leaf > %s and leaf <= %s order by leaf limit %s"
ENDS = "select coalesce((select max(leaf) from bleen.leaves), -1), coalesce((select max(sequence) from bleen.entries), 0)"
ONE = f"select leaf, convert_to({CONTENT}, 'UTF8') from bleen.leaves join bleen.entries e using (sequence) where sequence = %s"
NODES = "select leaf, hashes from bleen.leaves where leaf = any(%s)"


class PostgresLog:
    """Keeps the port `Log`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def size(self) -> int:
        [(last, _)] = await self._database.rows(ENDS)
        return _int(last) + 1

    async def content(self, sequence: int) -> tuple[int, bytes]:
        rows = await self._database.rows(ONE, (sequence,))
        if not rows:
            raise NotFound(f"there is no entry {sequence} in the log", next="bleen audit lists them")
        [(leaf, content)] = rows
        return _int(leaf), _bytes(content)

    async def nodes(self, wanted: Collection[Node]) -> Mapping[Node, bytes]:
        rows = await self._database.rows(NODES, (list({completing(node) for node in wanted}),))
        kept = {_int(leaf): _bytes(hashes) for leaf, hashes in rows}
        found = {node: kept[completing(node)][node[0] * SIZE :][:SIZE] for node in wanted if completing(node) in kept}
        return {node: node_hash for node, node_hash in found.items() if len(node_hash) == SIZE}

    async def walk(self) -> AsyncIterator[Stretch]:
        [(last_leaf, last_sequence)] = await self._database.rows(ENDS)
        leaf, sequence = -1, 0
        while leaves := await self._leaves(leaf, _int(last_leaf)):
            end = max(sequence, *(kept.sequence for kept in leaves))
            yield Stretch(leaves, await self._entries(sequence, end))
            leaf, sequence = leaves[-1].leaf, end
        if strays := await self._entries(sequence, _int(last_sequence)):
            yield Stretch((), strays)

    async def seal(self, checkpoint: Checkpoint, note: str) -> None:
        await self._database.rows("select bleen.seal(%s, %s)", (checkpoint.size, note))

    async def notes(self) -> Sequence[str]:
        return [str(note) for (note,) in await self._database.rows("select note from bleen.checkpoints order by size")]

    async def _leaves(self, after: int, last: int) -> tuple[Kept, ...]:
        rows = await self._database.rows(LEAVES, (after, last, PAGE))
        return tuple(Kept(_int(leaf), _int(sequence), _bytes(hashes)) for leaf, sequence, hashes in rows)

    async def _entries(self, after: int, last: int) -> dict[int, bytes]:
        return {_int(sequence): _bytes(content) for sequence, content in await self._database.rows(ENTRIES, (after, last))}


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
