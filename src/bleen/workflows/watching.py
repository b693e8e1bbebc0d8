"""Watching: looking at the world until something changes, and counting what its traffic shows meanwhile."""

import asyncio
from collections import deque
from datetime import timedelta

from msgspec import structs
from temporalio import activity

from bleen.domain.comparison import Comparison, Phase, comparison
from bleen.domain.decide import advance, decide
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.errors import Unreachable
from bleen.domain.gate import Gate, assess, blind, count, due
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.signals import Golden, Sample, golden, keep
from bleen.workflows.messages import Order, Watched
from bleen.workflows.pulse import INTERVAL, pulse
from bleen.workflows.world import World

QUICK, SLOW = 0.05, 2.0
"""Seconds between two looks at the world: at first, and once nothing has changed for long."""
TICK = 1.0
"""Seconds between two readings of the counters."""
REPORT_FIRST, REPORT_LAST = 2.0, 15.0
"""Seconds after which a measurement is reported though nothing has changed: at first, and after minutes."""
RECENT = 10
"""Readings over which golden signals are told."""
PATIENCE = 3.0
"""Seconds that one reading of the counters may take."""


class Watching:
    """One watch, from one decision to what changes it."""

    def __init__(self, world: World, order: Order) -> None:
        self._world = world
        self._order = order
        self._gate = _resumed() or order.gate or Gate()
        self._last_tick: float | None = None
        self._samples: deque[Sample] = deque(maxlen=RECENT)
        self._visits: asyncio.Future[tuple[None, None]] | None = None

    async def run(self) -> Watched:
        """Return the first observation that changes the rollout or its decision, or what was measured in a while."""
        loop, rollout = asyncio.get_running_loop(), self._order.rollout
        began, asked = loop.time(), comparison(rollout)
        async with pulse(INTERVAL if asked else 4 * INTERVAL, (lambda: self._gate) if asked else None):
            while True:
                waited = loop.time() - began
                await asyncio.sleep(self._pause(waited, asked))
                seen = await self._world.observe(rollout.environment, rollout.service)
                if asked is not None:
                    seen = await self._measured(asked, seen)
                if self._news(seen) or (_reported(asked) and waited >= self._report()):
                    return Watched.of(seen, self._gate if asked else None)

    def _pause(self, waited: float, asked: Comparison | None) -> float:
        """Return how long to sleep: often at first, when something is expected within seconds, and ever more rarely."""
        pause = TICK / 2 if _reported(asked) else min(TICK if asked else SLOW, max(QUICK, waited / 20))
        decision, now = self._order.decision, self._world.clock()
        until = decision.until if isinstance(decision, Wait | AskHuman) else None
        if until is None or until <= now:
            return pause
        return min(pause, max(QUICK, (until - now) / timedelta(seconds=1)))

    def _news(self, seen: Observation) -> bool:
        """Return whether ``seen`` changes the rollout or what is to be done; other figures are no news."""
        before = self._order.rollout
        later = advance(before, seen, seen.at)
        return _still(later, before) != before or decide(later, seen, seen.at) != self._order.decision

    def _report(self) -> float:
        age = (self._world.clock() - self._order.rollout.since) / timedelta(seconds=1)
        return min(REPORT_LAST, max(REPORT_FIRST, age / 10))

    async def _measured(self, asked: Comparison, seen: Observation) -> Observation:
        """Return ``seen`` with what the traffic shows, read anew each second."""
        now = asyncio.get_running_loop().time()
        if self._last_tick is None or now - self._last_tick >= TICK - QUICK:
            self._last_tick = now
            self._visit(asked)
            await self._tick(asked)
        assessment = structs.replace(assess(self._gate, asked, seen.at), signals=self._signals(asked))
        return structs.replace(seen, assessment=assessment)

    def _signals(self, asked: Comparison) -> tuple[Golden, ...]:
        if len(self._samples) < 2:
            return ()
        found = (golden(self._samples[0], self._samples[-1], release) for release in (asked.canary, asked.baseline))
        return tuple(each for each in found if each is not None)

    def _visit(self, asked: Comparison) -> None:
        """Send this second's requests of Bleen's own, where the strategy wants some; those that are late are not added to."""
        wanted = asked.analysis.synthetic
        if wanted is None or asked.phase is not Phase.BESIDE or (self._visits and not self._visits.done()):
            return
        visit, service = self._world.prober.visit, asked.service
        self._visits = asyncio.gather(
            visit(wanted.path, wanted.rate, service=service, release=asked.canary),
            visit(wanted.path, wanted.rate, service=service, release=asked.baseline, baseline=asked.fair),
        )

    async def _tick(self, asked: Comparison) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                custom = due(self._gate, asked, self._world.clock())
                sample = await self._world.metrics.read(asked, custom)
        except (Unreachable, TimeoutError) as error:
            self._gate = blind(self._gate, asked, self._world.clock(), str(error) or "the counters did not answer in time")
        else:
            self._gate = count(self._gate, asked, sample)
            keep(self._samples, sample)


def _still(later: Rollout, before: Rollout) -> Rollout:
    return structs.replace(later, assessment=before.assessment)


def _reported(asked: Comparison | None) -> bool:
    return asked is not None and asked.phase is not Phase.BEFORE


def _resumed() -> Gate | None:
    """Return the evidence that the attempt before this one had when it died."""
    details = activity.info().heartbeat_details
    if not details:
        return None
    found: Gate = activity.payload_converter().from_payloads([activity.payload_converter().to_payload(details[0])], [Gate])[0]
    return found
