"""One controller for a site: the second is told who has it, and whoever lost it can change nothing any more."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from bleen.domain.errors import AlreadyRunning, Conflict, Unreachable
from bleen.domain.traffic import Backend, Colour
from bleen.providers.azure.gateway import Tier
from bleen.providers.azure.lease import Holder, Lease
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import with_backends, without
from tests.azure.double.cloud import Cloud
from tests.azure.world import azure

SINCE = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
Candidate = Callable[..., Lease]


@pytest.fixture
async def candidate(cloud: Cloud) -> AsyncIterator[Candidate]:
    there = azure(cloud)

    def make(host: str, id: str = "") -> Lease:
        holder = Holder(host, 7, f"/home/{host}", SINCE)
        return Lease(there.container, id or str(uuid.uuid4()), holder, seconds=15, renew=0.1)

    yield make
    await there.close()


def expire(cloud: Cloud) -> None:
    """Let the time of the lease pass."""
    cloud.storage.leases = {path: (id, time.monotonic()) for path, (id, _) in cloud.storage.leases.items()}


async def test_the_second_is_told_who_has_the_site(candidate: Candidate) -> None:
    """Host, process, home, since when, and what to do; once it is given back the second has it at once."""
    first, second = candidate("ada"), candidate("bob")
    await first.take()
    with pytest.raises(AlreadyRunning, match="ada, pid 7, /home/ada, since 2026-11-28 02:00 UTC") as caught:
        await second.take()
    assert "bleen down" in caught.value.next and "15 s" in caught.value.next
    await first.give()
    await second.take()


async def test_one_that_is_started_again_has_its_site_at_once(candidate: Candidate) -> None:
    """After kill -9 nobody waits for the lease to end: its id is the home's."""
    await candidate("ada", id="00000000-0000-0000-0000-00000000000a").take()
    await candidate("ada", id="00000000-0000-0000-0000-00000000000a").take()


async def test_a_site_whose_holder_died_is_free_when_the_lease_has_ended(candidate: Candidate, cloud: Cloud) -> None:
    """Not before."""
    await candidate("ada").take()
    with pytest.raises(AlreadyRunning):
        await candidate("bob").take()
    expire(cloud)
    await candidate("bob").take()


async def test_storage_refuses_the_routes_of_one_that_lost_its_site(candidate: Candidate, cloud: Cloud) -> None:
    """However sure it is of itself: it was frozen, and wakes to write what it had in mind."""
    first, second = candidate("ada"), candidate("bob")
    there = azure(cloud)
    await first.take()
    old, new = (Tier(there.blobs, lease=each.id).blob for each in (first, second))
    backend = Backend("dev", "hello", Colour.BLUE, 1, ())
    await old.change(lambda table: with_backends(table, {backend.name: backend}))
    expire(cloud)
    await second.take()
    with pytest.raises(Conflict, match="another controller has the site"):
        await old.change(lambda table: without(table, backend.name))
    assert (await new.read()).table.backends == (backend,)
    await new.change(lambda table: without(table, backend.name))
    await there.close()


async def test_one_that_storage_has_not_confirmed_lately_changes_nothing(candidate: Candidate) -> None:
    """Scale sets know no lease: its own clock says that another one may have the site."""
    lease = candidate("ada")
    with pytest.raises(Unreachable):
        lease.check()
    await lease.take()
    lease.check()
    lease._asked -= 15
    with pytest.raises(Unreachable, match="may not have its site"):
        lease.check()


async def test_a_lease_is_kept_through_an_outage_and_lost_to_another_one(candidate: Candidate, cloud: Cloud) -> None:
    """While storage is away nobody can take it; once another one has it, the first one is told and ends."""
    lease = candidate("ada")
    await lease.take()
    keeping = asyncio.create_task(lease.keep())
    cloud.storage.away.add("all")
    await asyncio.sleep(1.0)
    assert not keeping.done()
    cloud.storage.away.clear()
    cloud.storage.leases[f"{Container.ROUTES}/table"] = ("bob", time.monotonic() + 60)
    async with asyncio.timeout(20):
        with pytest.raises(AlreadyRunning):
            await keeping
