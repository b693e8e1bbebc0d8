"""Copies of requests at a real Envoy: marked, thrown away, and no harm to users whatever becomes of them."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from bleen.domain.traffic import WHOLE, Colour, HeaderCohort, Mirror, Split, Sticky
from bleen.providers.load import Generator, Load
from tests.contracts.gateway import BLUE, a_route
from tests.fixtures.envoy import until
from tests.providers.envoy.recorder import Manner, Recorder
from tests.providers.envoy.visits import visit
from tests.providers.envoy.world import World

GREEN_NAME = "dev.hello.green.r2"


@pytest.fixture
async def green() -> AsyncIterator[Recorder]:
    """What gets the copies."""
    recorder = Recorder("green-1")
    await recorder.start()
    yield recorder
    recorder.stop()


@pytest.fixture
async def both(world: World, green: Recorder) -> World:
    """Blue r1 has all traffic; green r2 is the preview, no route yet."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.backends.set_backend(world.backend(Colour.GREEN, 2, (green.endpoint,)))
    return world


async def copy(world: World, mirror: Mirror, generation: int = 1, split: Split = BLUE, sticky: Sticky | None = None) -> None:
    """Have blue's requests copied to green."""
    route = a_route(split, preview=Colour.GREEN)
    cohorts = (HeaderCohort("x-team", "beta"),)
    await world.gateway.set_route(msgspec.structs.replace(route, cohorts=cohorts, mirror=mirror, sticky=sticky), generation)


async def settled(world: World, green: Recorder, count: int = 0) -> list[str]:
    """Return what green was asked, ``count`` times at least, once a request that left after all of it has come there."""
    await until(lambda: _heard(green, count))
    await until(lambda: _idle(world, green))
    await world.ask("/last", x_bleen_release="r2")
    await until(lambda: _asked(green, "/last"))
    return [head for head in green.heads if "/last" not in head]


async def _idle(world: World, green: Recorder) -> bool:
    return await world.backends.active(GREEN_NAME, green.endpoint.address) == 0


async def _heard(green: Recorder, count: int) -> bool:
    return len(green.heads) >= count


async def _asked(green: Recorder, path: str) -> bool:
    return any(path in head for head in green.heads)


def copies(heads: list[str]) -> list[str]:
    """Return those that say that they are copies."""
    return [head for head in heads if "x-bleen-mirror: r2\r\n" in head]


async def test_a_copy_says_that_it_is_one_and_its_answer_is_thrown_away(both: World, green: Recorder) -> None:
    """In ``x-bleen-mirror`` with the release that gets it, and by its Host; the user hears from blue alone."""
    await copy(both, Mirror(WHOLE))
    answer = await both.ask("/path?query=1")
    assert (answer.text, answer.headers.get_list("x-bleen-release")) == ("blue-1", ["r1"])
    (head,) = await settled(both, green, 1)
    assert head.startswith("get /path?query=1 http/1.1\r\n")
    assert "host: hello.localhost-shadow\r\n" in head and "x-bleen-mirror: r2\r\n" in head
    assert "x-bleen-copy-to" not in head


async def test_nobody_can_pass_for_a_copy(both: World, green: Recorder) -> None:
    """The header is taken from requests of users; nor can they name where a copy goes."""
    await copy(both, Mirror(WHOLE))
    assert "x-bleen-mirror" not in (await both.ask("/echo", x_bleen_mirror="r2")).text
    assert "nowhere" not in (await both.ask("/echo", x_bleen_copy_to="nowhere")).text
    await both.ask("/direct", x_bleen_release="r2", x_bleen_mirror="r2")
    heads = await settled(both, green, 3)
    assert (len(heads), len(copies(heads))) == (3, 2)


async def test_a_request_of_the_preview_is_not_copied(both: World, green: Recorder) -> None:
    """By name, at its host, or as a cohort: it is there already."""
    await copy(both, Mirror(WHOLE))
    await both.ask(x_bleen_release="r2")
    await both.ask(host="preview.hello.localhost")
    await both.ask(x_team="beta")
    await both.ask(x_bleen_release="r1")
    heads = await settled(both, green)
    assert (len(heads), copies(heads)) == (3, [])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_nothing_but_reading_is_copied_unasked(both: World, green: Recorder, method: str) -> None:
    """A write that is done twice is done twice."""
    await copy(both, Mirror(WHOLE))
    assert (await both.ask(method=method)).text == "blue-1"
    assert await settled(both, green) == []


async def test_a_method_that_is_named_is_copied_with_its_body(both: World, green: Recorder) -> None:
    """And the others are not."""
    await copy(both, Mirror(WHOLE, ("POST", "OPTIONS")))
    reader, writer = await asyncio.open_connection(both.place.address, both.place.port)
    writer.write(b"POST / HTTP/1.1\r\nhost: hello.localhost\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
    assert b"blue-1" in await reader.read()
    writer.close()
    for method in ("OPTIONS", "GET", "PUT"):
        await both.ask(method=method)
    heads = await settled(both, green, 2)
    assert [head.split()[0] for head in copies(heads)] == ["post", "options"]
    assert green.bodies[0] == b"hello"


@pytest.mark.parametrize("sticky", [None, Sticky("bleen-user", 600, Colour.GREEN)])
async def test_only_the_other_colours_requests_are_copied(both: World, green: Recorder, sticky: Sticky | None) -> None:
    """Half of the users are on green: each request reaches green once, as itself or as a copy."""
    await copy(both, Mirror(WHOLE), split=Split(blue=5000, green=5000), sticky=sticky)
    seen = await visit(both, [f"bleen-user={n}" for n in range(300)])
    on_blue = [each.release for each in seen].count("r1")
    heads = await settled(both, green, 300)
    assert (len(heads), len(copies(heads))) == (300, on_blue)
    assert 90 < on_blue < 210


async def test_a_share_is_copied(both: World, green: Recorder) -> None:
    """A quarter of 1,000, give or take; none of none."""
    await copy(both, Mirror(2500))
    await visit(both, [""] * 1000)
    assert 170 < len(await settled(both, green)) < 330
    green.heads.clear()
    await copy(both, Mirror(0), 2)
    await visit(both, [""] * 100)
    assert await settled(both, green) == []


@pytest.mark.parametrize("manner", [Manner.MUTE, Manner.RUDE])
async def test_what_gets_the_copies_cannot_hurt_users(both: World, green: Recorder, manner: Manner) -> None:
    """It hangs, or resets connections: every user is answered, and copies without an answer are given up in the end."""
    await copy(both, Mirror(WHOLE))
    green.manner = manner
    outcome = await Generator(Load(both.place.port, 300, host="hello.localhost", mark="x-instance")).run(1.0)
    assert {(sample.answered_by, sample.failure) for sample in outcome.samples} == {("blue-1", "")}
    await until(lambda: _heard(green, len(outcome.samples)))
    await until(lambda: _idle(both, green), 30)


async def test_an_upload_does_not_wait_for_the_one_who_gets_the_copy(both: World, green: Recorder) -> None:
    """Envoy would hold it back for ever where that one does not read; so what is or may be long is not copied."""
    await copy(both, Mirror(WHOLE, ("POST",)))
    green.manner = Manner.DEAF
    for body in (b"x" * 20_000_000, b"x" * 99_999, _pieces()):
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(both.url, headers={"host": "hello.localhost"}, content=body)
            assert (answer.status_code, answer.headers["x-bleen-release"]) == (200, "r1")
    await until(lambda: _heard(green, 1))
    (head,) = green.heads
    assert "content-length: 99999\r\n" in head


async def _pieces() -> AsyncIterator[bytes]:
    yield b"one"


async def test_copies_to_an_instance_that_is_gone_hurt_nobody(both: World, green: Recorder) -> None:
    """Nobody listens there, and then there is no instance at all."""
    await copy(both, Mirror(WHOLE))
    green.stop()
    assert {each.release for each in await visit(both, [""] * 100)} == {"r1"}
    await both.backends.set_backend(both.backend(Colour.GREEN, 2, ()))
    assert {each.release for each in await visit(both, [""] * 100)} == {"r1"}
