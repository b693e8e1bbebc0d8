"""The kit of the port `Log`: subclass `LogContract`, with fixtures ``ledger``, new and empty, and ``log`` over it."""

import pytest

from bleen.domain.audit import Auditor, leaf_content
from bleen.domain.decision import Wait
from bleen.domain.errors import NotFound
from bleen.domain.ledger import Decided
from bleen.domain.merkle import EMPTY, Frontier, cover, leaf_hash, range_hash
from bleen.domain.note import Checkpoint
from bleen.ports import Ledger, Log
from tests.contracts.ledger import ODD_TEXTS, a_draft, sample_events


class LogContract:
    """What every log does."""

    async def test_every_append_has_its_leaf(self, ledger: Ledger, log: Log) -> None:
        """In the order of the ledger, with the content that the domain spells; a key again is no leaf more."""
        entries = [await ledger.append(a_draft(f"k{n}", event=event)) for n, event in enumerate(sample_events())]
        await ledger.append(a_draft("k0"))
        assert await log.size() == len(entries)
        for leaf, entry in enumerate(entries):
            assert await log.content(entry.sequence) == (leaf, leaf_content(entry))

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
    async def test_any_text_has_one_content(self, ledger: Ledger, log: Log, text: str) -> None:
        """Whatever stands in names and events is hashed as it comes back."""
        name = text.replace("\0", "")[:1000]
        entry = await ledger.append(a_draft(f"k:1,{name}", rollout=name, event=Decided(Wait(why=text))))
        assert (await log.content(entry.sequence))[1] == leaf_content(entry)

    async def test_the_nodes_make_the_roots(self, ledger: Ledger, log: Log) -> None:
        """At every size that the log had, the kept nodes have the root of the leaves by then."""
        tree, roots = Frontier(), [EMPTY]
        for n in range(21):
            entry = await ledger.append(a_draft(f"k{n}"))
            tree.append(leaf_hash(leaf_content(entry)))
            roots.append(tree.root())
        for size in range(1, 22):
            known = await log.nodes(cover((0, size)))
            assert range_hash((0, size), known) == roots[size]

    async def test_a_node_that_is_not_complete_is_not_there(self, ledger: Ledger, log: Log) -> None:
        """Rather than a wrong hash."""
        for n in range(3):
            await ledger.append(a_draft(f"k{n}"))
        assert set(await log.nodes([(0, 2), (1, 0), (1, 1), (2, 0), (0, 9)])) == {(0, 2), (1, 0)}

    async def test_a_walk_sees_all_of_it_once(self, ledger: Ledger, log: Log) -> None:
        """And an auditor who walks along finds nothing."""
        entries = [await ledger.append(a_draft(f"k{n}")) for n in range(9)]
        auditor, leaves, contents = Auditor(()), [], {}
        async for stretch in log.walk():
            leaves += stretch.leaves
            contents |= stretch.entries
            auditor.take(stretch)
        assert [kept.leaf for kept in leaves] == list(range(9))
        assert contents == {entry.sequence: leaf_content(entry) for entry in entries}
        assert (auditor.finish(), auditor.size) == ((), 9)

    async def test_an_empty_log_can_be_walked(self, log: Log) -> None:
        """It has no leaf, and nothing is wrong with it."""
        assert await log.size() == 0
        auditor = Auditor(())
        async for stretch in log.walk():
            auditor.take(stretch)
        assert (auditor.finish(), auditor.root) == ((), EMPTY)

    async def test_an_entry_that_is_not_there_is_not_found(self, log: Log) -> None:
        """With the command that lists them."""
        with pytest.raises(NotFound, match="bleen audit"):
            await log.content(7)

    async def test_the_first_checkpoint_of_a_size_stays(self, log: Log) -> None:
        """Notes come back smallest first."""
        for size, note in ((7, "seven"), (3, "three"), (7, "another")):
            await log.seal(Checkpoint("origin", size, EMPTY), note)
        assert list(await log.notes()) == ["three", "seven"]
