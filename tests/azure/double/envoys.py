"""Envoys of which there is only what their agents would report: each has what the routes say, a moment later."""

import asyncio
from collections.abc import Sequence

from bleen.domain.codec import decode, encode
from bleen.domain.traffic import EndpointSeen
from bleen.providers.azure.gateway_report import EnvoyReport
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import TABLE, Table
from tests.azure.double.storage import Blob, Storage


class LightEnvoys:
    """A tier that applies whatever it reads, and whose probes find every endpoint well."""

    def __init__(self, storage: Storage, names: Sequence[str] = ("envoy-1", "envoy-2"), every: float = 0.1) -> None:
        self._storage = storage
        self._names = names
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self._etag = ""
        self._age = 0.0

    async def begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            blob = self._storage.blobs.get(f"{Container.ROUTES}/{TABLE}")
            self._age += self._every
            if self._age >= 2.0 or (blob.etag if blob else "") != self._etag:
                self._etag, self._age = blob.etag if blob else "", 0.0
                self._report(blob)
            await asyncio.sleep(self._every)

    def _report(self, blob: Blob | None) -> None:
        table: Table = decode(blob.data, Table) if blob else Table()
        endpoints = {b.name: tuple(EndpointSeen(each, True, 0) for each in b.endpoints) for b in table.backends}
        for name in self._names:
            report = EnvoyReport(name, "local", True, table.version, table.listings, table.backends, endpoints)
            self._storage.blobs[f"{Container.GATEWAYS}/{name}"] = Blob(encode(report))
