"""A database of Bleen's: brought up to date at its first use, and asked again while its server is away."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bleen.domain.errors import Unreachable
from bleen.providers.postgres.connections import Connection, Connections
from bleen.providers.postgres.errors import translate
from bleen.providers.postgres.migrate import admit, migrate, shipped

T = TypeVar("T")
Row = tuple[object, ...]

RETRY_EVERY = 0.05
"""Seconds between two attempts while the server is away."""
MIGRATION = 3600.0
"""Seconds that a migration may take."""


class Database:
    """Runs statements that may be tried twice without harm.

    One that finds the server gone is tried again for ``patience`` seconds: that covers a restart of the embedded server.
    With ``owner_url``, its role migrates, and the role of ``url`` can read and append and nothing else.
    """

    def __init__(self, url: str, *, owner_url: str = "", patience: float = 3.0, hang_up_after: float = 15.0) -> None:
        self._url = url
        self._owner_url = owner_url
        self._connections = Connections(url, hang_up_after=hang_up_after)
        self._patience = patience
        self._migrated = False
        self._migrating = asyncio.Lock()

    async def close(self) -> None:
        """Let go of the server."""
        await self._connections.close()

    async def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what ``sql`` answers."""

        async def work(connection: Connection) -> list[Row]:
            return await (await connection.execute(sql.encode(), values, binary=True)).fetchall()

        return await self._try(work)

    async def _try(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what ``work`` returns, tried again while the server is away and patience lasts."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await self._try_once(work)
            except psycopg.Error as error:
                translated = translate(error)
                if not isinstance(translated, Unreachable) or loop.time() >= deadline:
                    raise translated from error
            await asyncio.sleep(RETRY_EVERY)

    async def _try_once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        if not self._migrated:
            async with self._migrating:
                if not self._migrated:
                    await self._migrate()
                    self._migrated = True
        async with self._connections.take() as connection:
            return await work(connection)

    async def _migrate(self) -> None:
        if not self._owner_url:
            async with self._connections.take(hang_up_after=MIGRATION) as connection:
                await migrate(connection, shipped())
            return
        owner, role = Connections(self._owner_url), conninfo_to_dict(self._url)
        try:
            async with owner.take(hang_up_after=MIGRATION) as connection:
                await migrate(connection, shipped())
                await admit(connection, str(role["user"]), str(role["password"]))
        finally:
            await owner.close()
