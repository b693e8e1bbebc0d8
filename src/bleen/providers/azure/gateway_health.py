"""Whether the Envoy of a machine is well, as load balancers see it: what the agent beside it tells Azure's health extension."""

import aiohttp

from bleen.providers.envoy.place import PROBE_PATH, Place

_SECONDS = 2.0


class EnvoyHealth:
    """Asks what load balancers ask, at the same port: without storage, an Envoy that has routes is well."""

    def __init__(self, place: Place, name: str) -> None:
        self._url = f"http://{place.address}:{place.port}{PROBE_PATH}"
        self._name = name
        self._was_well = False
        self._session: aiohttp.ClientSession | None = None

    async def word(self) -> str:
        """Return what Azure is told; a machine that never had routes has the grace time of its extension to get them."""
        if await self._is_well():
            self._was_well = True
            return "Healthy"
        return "Unhealthy" if self._was_well else "Initializing"

    async def _is_well(self) -> bool:
        if self._session is None:
            # No kept connection: an Envoy that takes no new ones is not well.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_SECONDS))
        try:
            async with self._session.get(self._url, headers={"Host": self._name}) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Give back the sockets."""
        if self._session is not None:
            await self._session.close()
