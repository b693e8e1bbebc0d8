"""The ledger in memory keeps the contract of the port."""

from datetime import UTC, datetime

import pytest

from bleen.providers.memory.ledger import MemoryLedger
from tests.contracts.ledger import LedgerContract, a_draft


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


class TestMemoryLedger(LedgerContract):
    """The kit."""


async def test_its_clock_dates_the_entries() -> None:
    """A test or a dry run decides what time it is."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (await MemoryLedger(lambda: noon).append(a_draft("k"))).at == noon
