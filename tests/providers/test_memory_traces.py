"""The traces in memory keep the contract."""

from collections.abc import Callable, Sequence

import pytest

from bleen.domain.trace import Span
from bleen.providers.memory.traces import MemoryTraces
from tests.contracts.traces import TracesContract


class TestMemoryTraces(TracesContract):
    @pytest.fixture
    def traces(self) -> MemoryTraces:
        return MemoryTraces()

    @pytest.fixture
    def arrived(self, traces: MemoryTraces) -> Callable[[], Sequence[Span]]:
        return lambda: traces.spans

    @pytest.fixture
    def broken(self, traces: MemoryTraces) -> Callable[[], None]:
        return lambda: setattr(traces, "answers", False)
