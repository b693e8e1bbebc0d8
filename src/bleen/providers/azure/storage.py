"""The client of a storage account: all of the SDK that a machine of a scale set needs."""

from typing import Any

from azure.storage.blob.aio import BlobServiceClient


def blob_service(account: str, credential: Any, **options: Any) -> BlobServiceClient:
    """Return a client of the account at that URL, which gives up within seconds: who asks has a last good answer."""
    waits: dict[str, Any] = {
        "retry_total": 1,
        "initial_backoff": 0.2,
        "increment_base": 1.5,
        "random_jitter_range": 0,
        "connection_timeout": 3,
        "read_timeout": 5,
    }
    return BlobServiceClient(account, credential, **waits, **options)
