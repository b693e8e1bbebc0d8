"""Connecting to the engine, embedded or a cluster's. The address is the only mode switch."""

from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, TLSConfig

from bleen.domain.errors import InvalidInput, Unreachable
from bleen.settings import EngineAccess
from bleen.workflows.converter import DATA_CONVERTER

RETENTION = timedelta(days=90)
"""How long the embedded engine keeps what has ended; its default is one day."""


async def connect(access: EngineAccess) -> Client:
    """Return a client that speaks Bleen's messages; Unreachable where nothing answers."""
    try:
        return await Client.connect(
            access.address,
            namespace=access.namespace,
            api_key=access.api_key or None,
            tls=_tls(access),
            data_converter=DATA_CONVERTER,
            connect_timeout=timedelta(seconds=10),
        )
    except (RPCError, RuntimeError) as error:
        raise Unreachable(
            f"the workflow engine at {access.address} does not answer", why=str(error), next="bleen doctor"
        ) from error


async def keep_history(client: Client) -> None:
    """Make an embedded engine keep what has ended for 90 days. A cluster's operator decides that for themselves."""
    config = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=int(RETENTION.total_seconds())))
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=client.namespace, config=config))


def _tls(access: EngineAccess) -> TLSConfig | bool:
    if access.ca or access.certificate:
        return TLSConfig(
            server_root_ca_cert=_read(access.ca, "BLEEN_ENGINE_TLS_CA"),
            client_cert=_read(access.certificate, "BLEEN_ENGINE_TLS_CERT"),
            client_private_key=_read(access.key, "BLEEN_ENGINE_TLS_KEY"),
        )
    return access.tls or bool(access.api_key)


def _read(path: str, name: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise InvalidInput(f"{name}={path} cannot be read", why=error.strerror or "", where="environment") from error
