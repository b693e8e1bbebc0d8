"""Notices in memory."""

from bleen.domain.errors import Unreachable
from bleen.domain.notice import Notice


class MemoryNotices:
    """Port `Notices`: keeps what it was told. ``answers`` False: nothing gets through."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.answers = True

    async def tell(self, notice: Notice) -> None:
        """See `bleen.ports.Notices`."""
        if not self.answers:
            raise Unreachable("the notice did not get through", next="try again")
        self.told.append(notice)
