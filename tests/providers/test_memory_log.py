"""The log in memory keeps the contract."""

import pytest

from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.memory.log import MemoryLog
from tests.contracts.log import LogContract


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def log(ledger: MemoryLedger) -> MemoryLog:
    return MemoryLog(ledger)


class TestMemoryLog(LogContract):
    """The kit."""
