"""What machines say of themselves: one small blob each, written by whoever keeps the instance there, and its log.

All reports are read by one listing: each is in the blob's metadata, as base64, because a header is ASCII. What an instance uses
has a key of its own there: a guest that does not measure leaves it out, and a controller that does not know it reads the rest.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from bleen.domain.codec import Value, decode, encode
from bleen.domain.fleet import Instance, LogLine
from bleen.domain.signals import Usage
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.packing import packed, unpacked

_MOST_EXIT, _MOST_WORDS = 1_000, 3_500
"""Bytes, as they are written, of how an instance ended and of its last words: all metadata of a blob is at most 8 KB, of which
base64 takes a quarter."""
_TAIL_BYTES = 4_000_000
"""So much of a log is read at most."""


class Report(Value, frozen=True):
    """One machine's word on its instance."""

    instance: Instance
    written: datetime
    used: Usage | None = None
    """What it used when this was written; None where its guest did not say."""


class Reports:
    """Reads and writes them in one container, by scale set and machine."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def write(self, scale_set: str, machine: str, instance: Instance, used: Usage | None = None) -> None:
        """Replace the report of ``machine``."""
        metadata = {"instance": packed(_short(instance))} | ({"used": packed(used)} if used is not None else {})
        with speaking("write a report"):
            await self._container.upload_blob(f"instances/{scale_set}/{machine}", b"", overwrite=True, metadata=metadata)

    async def remove(self, scale_set: str, machine: str) -> None:
        """Forget the report of a machine that has ended, and its log."""
        with speaking("remove a report"):
            for name in (f"instances/{scale_set}/{machine}", f"logs/{scale_set}/{machine}"):
                try:
                    await self._container.delete_blob(name)
                except ResourceNotFoundError:
                    continue

    async def read(self) -> Mapping[tuple[str, str], Report]:
        """Return the reports, by scale set and machine; those that are none are left out."""
        found: dict[tuple[str, str], Report] = {}
        with speaking("read the reports of machines"):
            async for blob in self._container.list_blobs(name_starts_with="instances/", include=["metadata"]):
                _, scale_set, machine = blob.name.split("/")
                metadata = blob.metadata or {}
                if instance := unpacked(metadata.get("instance", ""), Instance):
                    found[scale_set, machine] = Report(instance, blob.last_modified, unpacked(metadata.get("used", ""), Usage))
        return found

    async def say(self, scale_set: str, machine: str, lines: Sequence[LogLine]) -> None:
        """Append lines to the log of ``machine``."""
        log = self._container.get_blob_client(f"logs/{scale_set}/{machine}")
        data = b"".join(encode(line) + b"\n" for line in lines)
        with speaking("append to a log"):
            try:
                await log.append_block(data)
            except ResourceNotFoundError:
                await log.create_append_blob()
                await log.append_block(data)

    async def log(self, scale_set: str, machine: str) -> Sequence[LogLine]:
        """Return what ``machine`` has said, the end of it where that is long."""
        log = self._container.get_blob_client(f"logs/{scale_set}/{machine}")
        with speaking("read a log"):
            try:
                size = (await log.get_blob_properties()).size
                data = await (await log.download_blob(offset=max(0, size - _TAIL_BYTES))).readall() if size else b""
            except ResourceNotFoundError:
                return []
        whole = data.splitlines()[size > _TAIL_BYTES :]
        return [decode(line, LogLine) for line in whole]


def _short(instance: Instance) -> Instance:
    """Return it without the end of how it ended, and the beginning of its last words, where these are too long."""
    ended, words = instance.last_exit, instance.last_words
    while len(encode(ended)) > _MOST_EXIT:
        ended = ended[: len(ended) * 9 // 10]
    while len(encode(words)) > _MOST_WORDS:
        words = words[len(words) // 10 + 1 :]
    return msgspec.structs.replace(instance, last_exit=ended, last_words=words)


def age(report: Report) -> float:
    """Return the seconds since the report was written, by this machine's clock and storage's."""
    return (datetime.now(UTC) - report.written).total_seconds()
