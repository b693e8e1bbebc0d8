"""Notices on the real engine: to each channel by itself, again until it gets through, whoever dies meanwhile."""

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.client import Client

from bleen.domain.command import Advance
from bleen.domain.decision import AskHuman
from bleen.domain.errors import InvalidInput, Unreachable
from bleen.domain.ledger import NoticeLost
from bleen.domain.notice import Dispatch, Notice
from bleen.domain.rollout import Promoted
from bleen.providers.memory.notices import MemoryNotices
from bleen.workflows.messages import Started
from tests.workflows.stage import Stage, eventually, quick

GLASS = Notice("glass-broken", "dev", "hello", "", "", "ada broke the glass", "the shop is down", "bleen audit")


class Channels(MemoryNotices):
    """Two channels, one of which a test can hurt."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.heard: list[tuple[str, str, str]] = []
        self.tried = 0

    async def channels(self, notice: Notice) -> Sequence[str]:
        return ("good", "bad")

    async def tell(self, dispatch: Dispatch, channel: str) -> None:
        if channel == "bad":
            self.tried += 1
            if self.error is not None:
                raise self.error
        self.heard.append((channel, dispatch.notice.kind, dispatch.id))
        self.told.append(dispatch.notice)


@pytest.fixture
def hurt(client: Client) -> tuple[Stage, Channels]:
    """A stage whose notices go to two channels."""
    from dataclasses import replace

    stage, channels = Stage(client), Channels()
    stage.world = replace(stage.world, notices=channels)
    return stage, channels


async def heard(channels: Channels, *wanted: tuple[str, str]) -> None:
    async def all_of_them() -> bool:
        return {(channel, kind) for channel, kind, _ in channels.heard} >= set(wanted)

    await eventually(all_of_them, f"{wanted} were told: {channels.heard}")


async def test_a_rollouts_outcome_is_told(stage: Stage) -> None:
    """A promotion, with who deployed it."""
    await stage.deployed("1")

    async def told() -> bool:
        return any(n.kind == "promoted" and "r1" in n.what and "ada" in n.why for n in stage.notices.told)

    await eventually(told, "the promotion is told")


async def test_a_channel_that_is_away_keeps_nobody_from_anything(hurt: tuple[Stage, Channels]) -> None:
    """Neither the rollout nor the other channel; when it is back, it hears of it, once."""
    stage, channels = hurt
    channels.error = Unreachable("the chat is away")
    async with stage.working():
        await stage.deployed("1")
        begun = await stage.deploy("2", quick(auto_promote=False))
        assert isinstance(begun, Started)
        await stage.deciding(AskHuman)
        await heard(channels, ("good", "question"))
        await stage.control.command("dev", stage.service, Advance("ada"))
        assert isinstance(await stage.settled(begun.rollout), Promoted)
        channels.error = None
        await heard(channels, ("bad", "question"), ("bad", "promoted"), ("good", "promoted"))
    ids = [id for channel, kind, id in channels.heard if (channel, kind) == ("bad", "question")]
    assert len(ids) == 1 and ids[0].startswith("msg_")


async def test_a_notice_outlives_the_controller_that_told_it(hurt: tuple[Stage, Channels]) -> None:
    """The next one brings it to whom it did not get through."""
    stage, channels = hurt
    channels.error = Unreachable("the chat is away")
    async with stage.working():
        await stage.control.tell(GLASS)
        await heard(channels, ("good", "glass-broken"))

        async def tried() -> bool:
            return channels.tried > 0

        await eventually(tried, "it was tried")
    channels.error = None
    await asyncio.sleep(0.2)
    async with stage.working():
        await heard(channels, ("bad", "glass-broken"))
    assert [channel for channel, _, _ in channels.heard].count("good") == 1


async def test_what_can_never_get_through_is_in_the_ledger(hurt: tuple[Stage, Channels]) -> None:
    """With the channel and the reason; nothing is lost unseen."""
    stage, channels = hurt
    channels.error = InvalidInput("the address is none", why="it has no host")
    async with stage.working():
        await stage.control.tell(GLASS)

        async def lost() -> bool:
            return bool(await stage.entries(NoticeLost))

        await eventually(lost, "it is in the ledger")
    [entry] = await stage.entries(NoticeLost)
    assert entry.event == NoticeLost("glass-broken", "bad", "it has no host")
