"""The port `Secrets` on a machine in Azure: the Key Vault that its assignment names, asked as whoever the machine is."""

from types import TracebackType
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.keyvault.secrets.aio import SecretClient

from bleen.domain.errors import BleenError, Forbidden, NotFound, Unreachable
from bleen.providers.azure.assignment import check_name
from bleen.providers.azure.errors import translate

_WAITS: dict[str, Any] = {"connection_timeout": 3, "read_timeout": 5, "retry_total": 2, "retry_backoff_factor": 0.3}
"""An instance that cannot start yet is started again by its guest: nobody waits for long here."""


class VaultSecrets:
    """Reads each secret anew, and keeps none. ``at`` a vault first: until then nothing can be read."""

    def __init__(self, credential: AsyncTokenCredential, **options: Any) -> None:
        """``options`` are those of the SDK's client."""
        self._credential = credential
        self._options: dict[str, Any] = _WAITS | options
        self._client: SecretClient | None = None
        self._vault = ""

    async def at(self, vault: str) -> None:
        """Read from the vault of that URL from now on; empty: there is none."""
        if vault == self._vault:
            return
        await self.close()
        self._vault = vault
        self._client = SecretClient(vault, self._credential, **self._options) if vault else None

    async def resolve(self, name: str) -> str:
        """Return the value of the newest version.

        NotFound where there is none, Forbidden where this machine may not read it, InvalidInput for a name that no vault takes,
        Unreachable where the vault does not answer or nobody has said yet which one it is.
        """
        check_name(name)
        if self._client is None:
            next = "its scale set says it with the next order: bleen deploy"
            raise Unreachable(f"the secret {name} cannot be read", why="this machine was not told of a vault", next=next)
        try:
            return (await self._client.get_secret(name)).value or ""
        except (AzureError, ValueError) as error:
            raise self._error(name, error) from error

    def _error(self, name: str, error: AzureError | ValueError) -> BleenError:
        vault = self._vault.partition("://")[2].partition(".")[0]
        if isinstance(error, ValueError):  # an answer that is no vault's: the token is not sent there
            return Unreachable(f"{self._vault} does not answer as a vault", why=str(error))
        found = translate(f"read the secret {name}", error)
        if isinstance(found, NotFound):
            next = f"az keyvault secret set --vault-name {vault} --name {name} --file FILE"
            return NotFound(f"there is no secret {name}", why=f"{self._vault} has none of that name", next=next)
        if isinstance(found, Forbidden):
            next = "give the identity of its service the role Key Vault Secrets User: modules/vault does"
            return Forbidden(f"the secret {name} may not be read", why=found.why, next=next)
        return found

    async def close(self) -> None:
        """Give back the sockets."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def __aenter__(self) -> "VaultSecrets":
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back the sockets."""
        await self.close()
