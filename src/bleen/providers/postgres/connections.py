"""A few connections to one database, made when they are needed.

Not psycopg_pool: after an outage it waits longer and longer before it connects again (up to minutes, where the
embedded server is back in half a second), and a wrong password looks like a time-out.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg.pq import TransactionStatus

from bleen.providers.postgres.errors import check_url

Connection = psycopg.AsyncConnection[tuple[object, ...]]

SETTINGS = {
    "application_name": "bleen",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
}


class Connections:
    """At most ``limit`` connections, each with one statement a transaction. A broken one is never handed out again."""

    def __init__(self, url: str, *, limit: int = 4, connect_timeout: int = 5, hang_up_after: float = 15.0) -> None:
        check_url(url)
        self._url = url
        self._connect_timeout = connect_timeout
        self._hang_up_after = hang_up_after
        self._room = asyncio.Semaphore(limit)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def take(self, *, hang_up_after: float = 0) -> AsyncIterator[Connection]:
        """Yield a connection; psycopg.Error where there is none, or when it answers nothing for ``hang_up_after`` seconds."""
        async with self._room:
            connection = self._idle.pop() if self._idle else await self._connect()
            alarm = asyncio.get_running_loop().call_later(hang_up_after or self._hang_up_after, _hang_up, connection)
            try:
                yield connection
            finally:
                alarm.cancel()
                await self._put_back(connection)

    async def close(self) -> None:
        """Close the idle connections; those in use close as they return."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Connection:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=self._connect_timeout)
        try:
            marks = ", ".join("set_config(%s, %s, false)" for _ in SETTINGS)
            await connection.execute(f"select {marks}", [word for pair in SETTINGS.items() for word in pair])
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _put_back(self, connection: Connection) -> None:
        if connection.info.transaction_status is TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            await connection.close()


def _hang_up(connection: Connection) -> None:
    """Break the connection of a frozen server: no time-out of the server's own ends a wait for it.

    Its socket is shut rather than the query cancelled, because cancelling waits for the server to agree.
    """
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
