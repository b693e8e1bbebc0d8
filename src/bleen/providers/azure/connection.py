"""The clients of the Azure SDK that one site needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.network.aio import NetworkManagementClient
from azure.monitor.querymetrics.aio import MetricsClient
from azure.storage.blob.aio import ContainerClient

from bleen.providers.azure.site import Container, Site
from bleen.providers.azure.storage import blob_service

_TRIES = 4


class Azure:
    """Speaks to one site. Its clients repeat reads that failed, and wait as long as a throttled answer asks for."""

    def __init__(self, site: Site, credential: AsyncTokenCredential, *, storage: Any = None, **options: Any) -> None:
        self.site = site
        waits = {"retry_total": _TRIES, "retry_status": _TRIES, "retry_backoff_factor": 0.1, **options}
        arm = {"base_url": site.endpoint, "credential_scopes": [f"{site.endpoint}/.default"], **waits}
        self.compute = ComputeManagementClient(credential, site.subscription, **arm)
        self.network = NetworkManagementClient(credential, site.subscription, **arm)
        self.metrics = MetricsClient(site.counted_at, credential, **waits)
        self.blobs = blob_service(site.account, storage or credential)

    def container(self, name: Container) -> ContainerClient:
        """Return a container of the site's storage account."""
        return self.blobs.get_container_client(name)

    async def close(self) -> None:
        """Give back the sockets."""
        for client in (self.compute, self.network, self.metrics, self.blobs):
            await client.close()


@asynccontextmanager
async def connected(site: Site, **options: Any) -> AsyncIterator[Azure]:
    """Yield the clients, signed in as whoever this machine or person is: a managed identity, a federation, ``az login``."""
    from azure.identity.aio import DefaultAzureCredential

    async with DefaultAzureCredential() as credential:
        azure = Azure(site, credential, **options)
        try:
            yield azure
        finally:
            await azure.close()
