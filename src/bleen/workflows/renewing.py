"""What renewals do to the world. Every activity ensures a state, because the engine may run it twice."""

from contextlib import suppress
from datetime import UTC
from typing import Any

from msgspec import structs
from temporalio import activity

from bleen.domain.codec import digest_of
from bleen.domain.errors import ImageBlocked, NothingToDo, Permanent
from bleen.domain.image import Digest, Image
from bleen.domain.ledger import BaseRenewed, Draft, Entry, Query, ReleaseMade, RenewalBegun, RolloutStarted
from bleen.domain.pipeline import OfMove, OfRenewal, Plan
from bleen.domain.plan import serving_now
from bleen.domain.policy import Gated, Policy, policy_of
from bleen.domain.release import Release
from bleen.domain.renewal import Agenda, Move, Renew, Renewal, closed, is_due, next_step, opened
from bleen.domain.rollout import Rollout
from bleen.workflows.messages import GateOrder, Looked, Moved, RolloutRequest
from bleen.workflows.pulse import pulse
from bleen.workflows.starting import Starting, size_for
from bleen.workflows.surveying import Surveying
from bleen.workflows.workshop import Workshop
from bleen.workflows.world import World


class Renewing:
    """The activities of the renewal workflow."""

    def __init__(self, world: World, starting: Starting) -> None:
        self._world = world
        self._starting = starting

    @activity.defn
    async def look(self, agenda: Agenda) -> Looked:
        """Return the one next thing to do, by what is seen now."""
        async with pulse():
            at = self._world.clock().astimezone(UTC)
            agenda = opened(agenda, at)
            survey = await Surveying(self._world).run(at, ask=is_due(agenda, at))
            step = next_step(survey, agenda)
        return Looked(at, closed(agenda, step, at), step)

    @activity.defn
    async def renew(self, step: Renew) -> Renewal:
        """Return the base built anew, entered in the ledger."""
        async with pulse():
            base = await self._renewed(step.base)
            renewal = Renewal(step.name, step.base, base.digest, step.fixes)
            key = f"renewed/{digest_of([renewal.before, renewal.after, sorted((f.package, f.fixed) for f in step.fixes)])}"
            await self._world.ledger.append(Draft(key, "", "", BaseRenewed(renewal), by=step.by))
        return renewal

    async def _renewed(self, base: Digest) -> Image:
        """Return the base built anew. It has no gate of its own: what is moved onto it goes through that of its service."""
        builder = self._world.builder
        plan = await builder.begin(OfRenewal(base))
        return plan.image or await builder.publish(plan.key, await self._carried(plan))

    async def _carried(self, plan: Plan) -> Digest:
        """Carry out the stages of ``plan``, and return the digest of what they made."""
        digest = plan.image.digest if plan.image else ""
        for stage in plan.stages:
            digest = (await self._world.builder.carry_out(plan.key, stage)).candidate or digest
        return digest

    @activity.defn
    async def move(self, step: Move) -> Moved:
        """Make a release of what serves on the renewed base, and begin its rollout. What cannot be is told, not raised."""
        async with pulse():
            try:
                release = await self._make_release(step)
            except (Permanent, ImageBlocked) as error:
                return Moved(refused=": ".join(filter(None, (error.what, error.why))))
            await self._roll_out(step, release)
        return Moved(release.number)

    async def _make_release(self, step: Move) -> Release:
        world, served = self._world, step.served
        plan = await world.builder.begin(OfMove(served.image, step.renewal.after))
        digest = await self._carried(plan)
        await self._judge(step, digest)
        image = plan.image or await world.builder.publish(plan.key, digest)
        await world.images.verify(image.digest)
        before = await world.ledger.release(served.service, served.release)
        draft = structs.replace(before, number=0, image=image.digest, created=world.clock(), author=step.by)
        release = await world.ledger.make_release(draft)
        key = f"{served.service}/{release.name}"
        await world.ledger.append(Draft(key, served.environment, served.service, ReleaseMade(release), by=release.author))
        return release

    async def _judge(self, step: Move, digest: Digest) -> None:
        """Enter what the policy says by which the present release was let through; ImageBlocked where it is no."""
        served, shop = step.served, Workshop(self._world)
        policy = await self._policy(served.environment, served.service)
        order = GateOrder(digest, served.service, served.environment, policy, step.by, service=served.service)
        passed = await shop.scan(order)
        await shop.comply(structs.replace(order, findings=passed.findings))

    async def _policy(self, environment: str, service: str) -> Policy:
        """Return what the last judgement there went by."""
        for entry in await self._entries(environment, service, "gated"):
            if isinstance(entry.event, Gated):
                return policy_of(entry.event)
        return Policy()

    async def _roll_out(self, step: Move, release: Release) -> None:
        """Begin the rollout once, however often this is tried; a person's that came first is left alone."""
        served, info = step.served, activity.info()
        fixes = tuple(structs.replace(fix, uploads=()) for fix in step.renewal.fixes)
        event = RenewalBegun(structs.replace(step.renewal, fixes=fixes), release.number)
        key = f"renewal/{info.workflow_run_id}/{info.activity_id}"
        begun = await self._world.ledger.append(Draft(key, served.environment, served.service, event, by=step.by))
        started = await self._entries(served.environment, served.service, "rollout-started", after=begun.sequence)
        if any(isinstance(e.event, RolloutStarted) and e.event.rollout.target.number == release.number for e in started):
            return
        with suppress(NothingToDo):
            await self._starting.begin_alone(await self._request(step, release, key))

    async def _request(self, step: Move, release: Release, token: str) -> RolloutRequest:
        """Return the rollout of ``release`` as the one before it was asked for."""
        served = step.served
        last = await self._last(served.environment, served.service, served.release)
        seen = await self._world.observe(served.environment, served.service)
        serving = serving_now(seen)
        if serving is None or serving[1] != served.release:
            raise NothingToDo(f"another release serves {served.service} by now")
        return RolloutRequest(
            environment=served.environment,
            service=served.service,
            hosts=next((route.hosts for route in seen.routes if route is not None), last.hosts),
            release=release.number,
            strategy=last.strategy,
            size=size_for(release.number, last, seen),
            by=step.by,
            token=token,
        )

    async def _last(self, environment: str, service: str, release: int) -> Rollout:
        """Return the plan by which ``release`` came to serve, or else the last one of all."""
        entries = await self._entries(environment, service, "rollout-started")
        plans = [entry.event.rollout for entry in entries if isinstance(entry.event, RolloutStarted)]
        if not plans:
            raise NothingToDo(f"{service} was never rolled out in {environment}", next=f"bleen deploy {service}")
        return next((plan for plan in plans if plan.target.number == release), plans[0])

    async def _entries(self, environment: str, service: str, kind: str, **more: Any) -> list[Entry]:
        """Return the entries of one kind, newest first."""
        query = Query(service=service, environment=environment, kinds=(kind,), newest=True, **more)
        return list(await self._world.ledger.read(query))
