"""Notices in memory."""

from collections.abc import Sequence

from bleen.domain.errors import Unreachable
from bleen.domain.notice import Dispatch, Notice


class MemoryNotices:
    """Port `Notices`: keeps what it was told. ``answers`` False: nothing gets through."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.answers = True

    async def channels(self, notice: Notice) -> Sequence[str]:
        """See `bleen.ports.Notices`."""
        return ("memory",)

    async def tell(self, dispatch: Dispatch, channel: str) -> None:
        """See `bleen.ports.Notices`."""
        if not self.answers:
            raise Unreachable("the notice did not get through", next="try again")
        self.told.append(dispatch.notice)
