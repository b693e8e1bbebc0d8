"""What is new in the ledger is handed over once, however many ask at a time."""

import asyncio
from collections.abc import Sequence

from bleen.domain.errors import Unreachable
from bleen.domain.ledger import Entry, Query
from bleen.providers.memory.ledger import MemoryLedger
from bleen.workflows.recent import Recent
from tests.contracts.ledger import a_draft

KINDS = ("decided",)


class Slow(MemoryLedger):
    """A ledger that takes its time, counts how often it is read, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.away = False

    async def read(self, query: Query) -> Sequence[Entry]:
        self.reads += 1
        read = await super().read(query)
        await asyncio.sleep(0.001)
        if self.away:
            raise Unreachable("the ledger is away")
        return read


async def test_each_entry_is_taken_once_by_many_who_ask_together() -> None:
    """Twenty that ask at once share two looks at most, and nothing is handed over twice."""
    ledger, taken = Slow(), list[str]()
    recent = Recent(ledger, KINDS, lambda entry: taken.append(entry.key))
    for n in range(5):
        await ledger.append(a_draft(str(n)))
        before = ledger.reads
        await asyncio.gather(*(recent.look(now=True) for _ in range(20)))
        assert taken == [str(k) for k in range(n + 1)]
        assert ledger.reads - before <= 2


async def test_who_asks_in_the_middle_of_a_look_waits_for_the_next() -> None:
    """What was entered after a look began is not in it, and whoever asks then must not be told of the old one."""
    ledger, taken = Slow(), list[str]()
    recent = Recent(ledger, KINDS, lambda entry: taken.append(entry.key))
    first = asyncio.create_task(recent.look(now=True))
    await asyncio.sleep(0)
    await ledger.append(a_draft("late"))
    await recent.look(now=True)
    assert taken == ["late"]
    await first


async def test_a_look_that_failed_is_nobodys_answer() -> None:
    """Each that asks while the ledger is away is told so; the next one after reads all."""
    ledger, taken = Slow(), list[str]()
    recent = Recent(ledger, KINDS, lambda entry: taken.append(entry.key))
    await ledger.append(a_draft("1"))
    ledger.away = True
    found = await asyncio.gather(*(recent.look(now=True) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(each, Unreachable) for each in found)
    ledger.away = False
    await recent.look()
    assert taken == ["1"]


async def test_only_what_is_behind_a_sequence_and_of_an_environment() -> None:
    """What was read otherwise is not read again; another environment's are another's."""
    ledger, taken = MemoryLedger(), list[str]()
    first = await ledger.append(a_draft("known"))
    await ledger.append(a_draft("new"))
    await ledger.append(a_draft("theirs", environment="production"))
    await Recent(ledger, KINDS, lambda e: taken.append(e.key), environment="dev", after=first.sequence).look()
    assert taken == ["new"]
