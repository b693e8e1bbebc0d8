"""The contract kit of the port `Notices`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from bleen.domain.errors import Unreachable
from bleen.domain.notice import Dispatch, Notice
from bleen.ports import Notices

QUESTION = Notice(
    kind="question",
    environment="dev",
    service="hello",
    rollout="dev/hello/7",
    release="r3",
    what="Is „r3“ good?\nReally?",
    why="the strategy asks for approval",
    next="bleen promote hello",
)


async def tell_all(notices: Notices, notice: Notice) -> None:
    """Tell it to every channel that is to hear of it."""
    for channel in await notices.channels(notice):
        await notices.tell(Dispatch("msg_1", datetime(2026, 11, 28, tzinfo=UTC), notice), channel)


class NoticesContract:
    """What every provider of notices keeps. A subclass has fixtures ``notices``, ``arrived`` and ``broken``."""

    async def test_a_notice_arrives_whole(self, notices: Notices, arrived: Callable[[], Sequence[Notice]]) -> None:
        """Every field, quotes and line breaks included."""
        await tell_all(notices, QUESTION)
        assert list(arrived()) == [QUESTION]

    async def test_one_that_does_not_get_through_is_an_error_that_may_be_tried_again(
        self, notices: Notices, broken: Callable[[], None]
    ) -> None:
        """Whoever tells decides whether to tell again."""
        broken()
        with pytest.raises(Unreachable, match="did not get through"):
            await tell_all(notices, QUESTION)
