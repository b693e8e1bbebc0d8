"""One controller for a site: a lease on the blob of the routes, which storage itself enforces.

Whoever has not the lease cannot write a route, however sure it is of itself. What storage does not see, changes of scale
sets, is asked of the lease's own clock (`Lease.check`).
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import AlreadyRunning, BleenError, Unreachable
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import TABLE, Table

_NOTE = "controller"


Containers = Callable[[Container], ContainerClient]


class Holder(Value, frozen=True):
    """Who has the site."""

    host: str
    pid: int
    home: str
    since: datetime

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}, {self.home}, since {self.since:%Y-%m-%d %H:%M} UTC"


class Lease:
    """``take`` it, have ``keep`` running, ``give`` it back. ``id`` is the same for a controller that is started again.

    A lease lasts ``seconds`` (15 to 60: storage allows no others), and is asked for anew each ``renew`` seconds.
    """

    def __init__(
        self,
        containers: Callable[[Container], ContainerClient],
        id: str,
        holder: Holder,
        *,
        seconds: int = 30,
        renew: float = 10,
    ) -> None:
        self.id = id
        self.seconds = seconds
        self._renew = renew
        self._blob = containers(Container.ROUTES).get_blob_client(TABLE)
        self._notes = containers(Container.OPERATIONS)
        self._holder = holder
        self._asked = float("-inf")
        """When the lease was asked for that was given last: it ends so much later at the earliest."""

    async def take(self) -> None:
        """Have the lease; AlreadyRunning says who has it."""
        with speaking("make the table of routes"):
            try:
                await self._blob.upload_blob(encode(Table()), overwrite=False)
            except HttpResponseError as error:
                if error.status_code not in (409, 412):  # it is there, and somebody may have a lease on it
                    raise
        await self._acquire()
        with speaking("write down who has the site"):
            await self._notes.upload_blob(_NOTE, encode(self._holder), overwrite=True)

    async def keep(self) -> None:
        """Ask for it anew, for ever; AlreadyRunning once somebody else has it. While storage is away nobody can take it."""
        while True:
            await asyncio.sleep(self._renew)
            try:
                await self._acquire()
            except Unreachable:
                continue

    def check(self) -> None:
        """Raise Unreachable where the lease may have ended: then nothing may be changed."""
        if time.monotonic() - self._asked >= self.seconds:
            why = f"storage has not confirmed it for {self.seconds} s"
            raise Unreachable("this controller may not have its site any more", why=why, next="it is tried again")

    async def give(self) -> None:
        """Give it back, so that another controller need not wait; what fails does no harm."""
        self._asked = float("-inf")
        try:
            with speaking("give the site back"):
                await BlobLeaseClient(self._blob, self.id).release()
        except BleenError:
            return

    async def _acquire(self) -> None:
        asked = time.monotonic()
        with speaking("take the site"):
            try:
                await BlobLeaseClient(self._blob, self.id).acquire(lease_duration=self.seconds)
            except HttpResponseError as error:
                if error.status_code != 409:
                    raise
                raise await self._taken() from None
        self._asked = asked

    async def _taken(self) -> AlreadyRunning:
        try:
            holder: Holder = decode(await (await self._notes.download_blob(_NOTE)).readall(), Holder)
            who = str(holder)
        except ResourceNotFoundError:
            who = "it has not said who it is"
        next = f"end that one with bleen down, there; if it is dead, its lease ends within {self.seconds} s"
        return AlreadyRunning("another controller has this site", why=who, next=next)
