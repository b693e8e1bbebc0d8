"""What the API remembers of services is what the whole ledger says of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.ledger import Draft, Entry, Event, Finished, Query, RemovalDecided, RolloutStarted, ServiceRemoved, Settled
from bleen.domain.rollout import Promoted, ReleaseRef, RolledBack
from bleen.domain.views import Lately, lately
from bleen.interfaces.api.past import MILESTONES, NOTHING, Past
from bleen.providers.memory.ledger import MemoryLedger
from tests.contracts.ledger import a_draft, a_rollout, an_image, sample_events

SERVICES = ("api", "hello", "shop")
REMOVING = next(event for event in sample_events() if isinstance(event, RemovalDecided))
REMOVED = next(event for event in sample_events() if isinstance(event, ServiceRemoved))


@dataclass
class Told:
    """A ledger in which services live: each gets events in an order that a rollout could have."""

    ledger: MemoryLedger
    rollouts: dict[str, int]
    stable: dict[str, int | None]

    async def live(self, service: str, way: str) -> None:
        """Have a rollout, or a removal, of ``service``."""
        if way == "removed":
            await self.add(service, "", REMOVING, REMOVED)
            self.stable[service] = None
            return
        if way == "removing":
            await self.add(service, "", REMOVING)
            return
        number, before = self.rollouts.get(service, 0) + 1, self.stable.get(service)
        self.rollouts[service] = number
        stable = None if before is None else ReleaseRef(before, f"1.{before}", an_image(before))
        target = ReleaseRef(number, f"1.{number}", an_image(number))
        rollout = f"dev/{service}/{number}"
        plan = structs.replace(a_rollout(), id=rollout, service=service, stable=stable, target=target)
        ends: dict[str, tuple[Event, ...]] = {
            "under way": (),
            "promoted": (Settled(Promoted(), number), Finished()),
            "refused": (Settled(RolledBack("a check failed"), before), Finished()),
            "reversed": (Settled(Promoted(), number), Settled(RolledBack("ada said so"), before), Finished()),
        }
        await self.add(service, rollout, RolloutStarted(plan), *ends[way])
        if way == "promoted":
            self.stable[service] = number

    async def add(self, service: str, rollout: str, *events: Event) -> None:
        for event in events:
            key = str(len(await self.ledger.read(Query(limit=10_000))))
            await self.ledger.append(Draft(key, "dev", service, event, by="ada", rollout=rollout))

    async def whole(self, service: str) -> Lately:
        """Return what every milestone of ``service`` says."""
        read: Sequence[Entry] = await self.ledger.read(Query(service=service, kinds=MILESTONES, limit=10_000))
        return lately(read, most=5)


WAYS = st.sampled_from(("promoted", "promoted", "refused", "reversed", "removed", "removing", "under way"))


@given(st.lists(st.tuples(st.sampled_from(SERVICES), WAYS), max_size=40), st.integers(0, 40))
def test_what_is_remembered_is_what_the_ledger_says(lives: list[tuple[str, str]], begun: int) -> None:
    """Whenever the API began to remember: history, stable release and removal are what the ledger says."""

    async def play() -> None:
        told, past = Told(MemoryLedger(), {}, {}), None
        for n, (service, way) in enumerate(lives):
            if n == begun:
                past = Past(told.ledger)
                await past.all("dev")
            await told.live(service, way)
        past = past or Past(told.ledger)
        assert await past.all("dev") == {service: await told.whole(service) for service, _ in lives}
        assert [await past.of("dev", service) for service in SERVICES] == [await told.whole(service) for service in SERVICES]

    asyncio.run(play())


async def test_a_service_that_rolled_out_a_thousand_times_costs_no_more() -> None:
    """Of a long life only the newest rollouts are kept, and what serves by a promotion of long ago."""
    told, past = Told(MemoryLedger(), {}, {}), None
    await told.live("hello", "promoted")
    past = Past(told.ledger)
    for _ in range(30):
        await told.live("hello", "refused")
        await past.of("dev", "hello")
    found = await past.of("dev", "hello")
    assert (found.stable, len(found.history)) == (ReleaseRef(1, "1.1", an_image(1)), 5)
    assert len(past._known["dev"].entries["hello"]) < 20


async def test_many_entries_of_no_rollout_hide_none() -> None:
    """However often a removal was decided on: the rollouts before it are still told of."""
    told = Told(MemoryLedger(), {}, {})
    for way in ("promoted", *["removing"] * 50):
        await told.live("hello", way)
    found = await Past(told.ledger).of("dev", "hello")
    assert (found, len(found.history)) == (await told.whole("hello"), 1)


async def test_a_name_that_somebody_made_up_is_not_kept() -> None:
    """Asking for environments that never were leaves nothing behind."""
    past = Past(MemoryLedger())
    for n in range(100):
        assert await past.of(f"made-up-{n}", "hello") is NOTHING
    assert not past._known


async def test_what_was_entered_before_a_question_is_in_its_answer() -> None:
    """Many ask while entries are made: each sees its own."""
    told = Told(MemoryLedger(), {}, {})
    past = Past(told.ledger)
    await told.live("hello", "promoted")

    async def enter(n: int) -> None:
        service = f"service-{n}"
        plan = structs.replace(a_rollout(), id=f"dev/{service}/1", service=service)
        await told.ledger.append(a_draft(service, service=service, rollout=plan.id, event=RolloutStarted(plan)))
        assert (await past.of("dev", service)).history[0].service == service

    await asyncio.gather(*(enter(n) for n in range(50)))
    assert len(await past.all("dev")) == 51
