"""Who a machine in Azure is: what its metadata service says, or said the last time."""

import asyncio
import logging
import time
from pathlib import Path

import msgspec

from bleen.domain.codec import decode, encode
from bleen.domain.errors import StorageFull, Unreachable
from bleen.providers.azure.metadata import MachineTold, Metadata
from bleen.providers.local.store import write_atomically

log = logging.getLogger("bleen.machine")

_PATIENCE_SECONDS = 3.0
"""For Azure's metadata service, where its last word is known: an instance that runs is not to be unwatched for longer."""
_AGAIN_SECONDS = 1.0


async def identify(
    metadata: Metadata, remembered: Path, stopped: asyncio.Event, patience: float = _PATIENCE_SECONDS
) -> MachineTold | None:
    """Return what this machine is: what Azure says, or said the last time where it does not for a while.

    None where it was ``stopped`` before anybody had ever said so: then nothing runs here.
    """
    known, until, said = _remember(remembered), time.monotonic() + patience, False
    while not stopped.is_set() and (known is None or time.monotonic() < until):
        try:
            told = await metadata.machine()
        except Unreachable as error:
            if not said:
                log.warning("%s", error)
            said = True
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            await _keep_in_mind(remembered, told)
            return told
    return known


async def _keep_in_mind(path: Path, told: MachineTold) -> None:
    """Write it down; a full disk is no reason to leave an instance unwatched."""
    try:
        await asyncio.to_thread(write_atomically, path, encode(told))
    except StorageFull as error:
        log.warning("%s", error)


def _remember(path: Path) -> MachineTold | None:
    try:
        told: MachineTold = decode(path.read_bytes(), MachineTold)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return told
