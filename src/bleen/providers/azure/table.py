"""What all gateways of a site ought to have: one blob, replaced as a whole under its etag."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import BleenError, Conflict, InvalidInput
from bleen.domain.listing import Listing
from bleen.domain.traffic import Backend
from bleen.providers.azure.errors import speaking, word
from bleen.providers.envoy.table import Rounds

TABLE = "table"
"""The name of the blob."""
_TRIES = 20


class Table(Value, frozen=True, omit_defaults=True):
    """All routes and all backends. ``version`` counts the writes."""

    version: int = 0
    listings: tuple[Listing, ...] = ()
    backends: tuple[Backend, ...] = ()
    confirmed: tuple[Listing, ...] = ()
    """What a gateway without agents was last seen to have: `bleen.providers.azure.sight`. Left out where there is none, so
    that agents that do not know it read the table."""

    def by_key(self) -> dict[str, Listing]:
        """Return the listings by service."""
        return {each.key: each for each in self.listings}

    def before(self) -> dict[str, Listing]:
        """Return the confirmed listings by service."""
        return {each.key: each for each in self.confirmed}

    def by_name(self) -> dict[str, Backend]:
        """Return the backends by name."""
        return {each.name: each for each in self.backends}


class Held(Value, frozen=True):
    """The table as it was read, and the etag that it had; empty where there is none yet."""

    table: Table = Table()
    etag: str = ""


Edit = Callable[[Table], Table]
"""Returns a table with a change; raises what speaks against it."""


class TableBlob:
    """Reads and replaces it. Who writes has the lease of that id, where there is one."""

    def __init__(self, container: ContainerClient, lease: str = "") -> None:
        self._lease = lease
        self._blob = container.get_blob_client(TABLE)
        self._rounds: Rounds[Edit] = Rounds(self._commit)
        self._version = 0

    async def read(self) -> Held:
        """Return the table; Unreachable, InvalidInput where it is none."""
        with speaking("read the routes"):
            try:
                found = await self._blob.download_blob()
                return Held(_parse(await found.readall()), found.properties.etag)
            except ResourceNotFoundError:
                return Held()

    async def newer(self, than: str) -> Held | None:
        """Return the table unless it has the etag ``than`` still, or there is none."""
        if not than:
            held = await self.read()
            return held if held.etag else None
        with speaking("read the routes"):
            try:
                found = await self._blob.download_blob(etag=than, match_condition=MatchConditions.IfModified)
                return Held(_parse(await found.readall()), found.properties.etag)
            except HttpResponseError as error:
                if error.status_code == 304:
                    return None
                raise

    async def change(self, edit: Edit) -> int:
        """Write the table as ``edit`` makes it of what is there, together with what else is waiting; return its version.

        What ``edit`` raises is raised here, and changes nothing.
        """
        await self._rounds.put(edit)
        return self._version

    async def _commit(self, edits: Mapping[int, Edit]) -> Mapping[int, Exception]:
        for attempt in range(_TRIES):
            held = await self.read()
            after, refusals = _edited(held.table, edits)
            self._version = held.table.version
            if after == held.table:
                return refusals
            after = msgspec.structs.replace(after, version=held.table.version + 1)
            if await self._write(after, held.etag):
                self._version = after.version
                return refusals
            await asyncio.sleep(0.01 * attempt)
        raise Conflict("the routes could not be written", why=f"others were first {_TRIES} times", next="try again")

    async def _write(self, table: Table, etag: str) -> bool:
        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        if self._lease:
            condition["lease"] = self._lease
        with speaking("write the routes"):
            try:
                await self._blob.upload_blob(encode(table), overwrite=bool(etag), **condition)
            except (ResourceModifiedError, ResourceExistsError):
                return False
            except HttpResponseError as error:
                code = word(getattr(error, "error_code", ""))
                if code.startswith("Lease"):
                    raise Conflict("another controller has the site", why=code, next="this one ends") from error
                raise
        return True


def _edited(table: Table, edits: Mapping[int, Edit]) -> tuple[Table, Mapping[int, Exception]]:
    refusals: dict[int, Exception] = {}
    for number, edit in edits.items():
        try:
            table = edit(table)
        except BleenError as error:
            refusals[number] = error
    return table, refusals


def _parse(data: bytes) -> Table:
    try:
        table: Table = decode(data, Table)
    except msgspec.MsgspecError as error:
        raise InvalidInput("the blob of routes is no table", why=str(error), next="restore the version before it") from error
    return table


def without(table: Table, name: str) -> Table:
    """Return the table without a backend."""
    return msgspec.structs.replace(table, backends=tuple(each for each in table.backends if each.name != name))


def with_backends(table: Table, changed: dict[str, Backend]) -> Table:
    """Return the table with these backends in place of those of the same names."""
    backends = table.by_name() | changed
    return msgspec.structs.replace(table, backends=tuple(backends[name] for name in sorted(backends)))


def with_listing(table: Table, listing: Listing) -> Table:
    """Return the table with that listing in place of the one of its service."""
    listings = table.by_key() | {listing.key: listing}
    return msgspec.structs.replace(table, listings=tuple(listings[key] for key in sorted(listings)))
