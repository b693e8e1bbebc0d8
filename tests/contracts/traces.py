"""The kit of the port `Traces`: subclass `TracesContract`.

It needs the fixtures ``traces``, ``arrived``, which returns what got through, and ``broken``, after which nothing does.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bleen.domain.errors import Unreachable
from bleen.domain.trace import Moment, Span
from bleen.ports import Traces

BEGAN = datetime(2026, 11, 28, 1, 2, 3, 456789, tzinfo=UTC)
WHOLE = Span(
    trace="0af7651916cd43dd8448eb211c80319c",
    id="b7ad6b7169203331",
    parent="",
    name="rollout hello",
    started=BEGAN,
    ended=BEGAN + timedelta(minutes=3),
    attributes={"bleen.rollout": "dev/hello/7", "bleen.entry": 12},
    moments=(Moment(BEGAN + timedelta(seconds=1), "commanded", {"bleen.by": "ada „lovelace“"}),),
    failed="rolled-back",
)
PART = Span(WHOLE.trace, "00f067aa0ba902b7", WHOLE.id, "launch", BEGAN, BEGAN + timedelta(seconds=9), {"bleen.why": "x\ny"})


class TracesContract:
    """What every provider of traces keeps."""

    async def test_spans_arrive_whole(self, traces: Traces, arrived: Callable[[], Sequence[Span]]) -> None:
        """Every field, to the microsecond."""
        await traces.tell([WHOLE, PART], 12)
        assert list(arrived()) == [WHOLE, PART]

    async def test_what_was_told_is_remembered(self, traces: Traces) -> None:
        """Nothing at first; a rollout without spans counts, too."""
        assert await traces.told() == 0
        await traces.tell([PART], 12)
        assert await traces.told() == 12
        await traces.tell([], 15)
        assert await traces.told() == 15

    async def test_what_did_not_get_through_is_not_remembered(self, traces: Traces, broken: Callable[[], None]) -> None:
        """It is told again."""
        await traces.tell([PART], 12)
        broken()
        with pytest.raises(Unreachable):
            await traces.tell([WHOLE], 15)
        assert await traces.told() == 12
