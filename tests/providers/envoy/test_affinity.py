"""Users keep their release, and the shares stay true, at a real Envoy."""

import asyncio
from collections.abc import Sequence

import aiohttp
import msgspec
import pytest

from bleen.domain.traffic import WHOLE, Colour, Mirror, Route, Split, Sticky
from tests.contracts.gateway import a_route
from tests.providers.envoy.visits import visit
from tests.providers.envoy.world import World

USERS = tuple(f"bleen-user=user-{n}" for n in range(20_000))
"""Always the same, so that their shares are too."""


def sticky(
    weight: int, first: Colour = Colour.GREEN, *, green: int = 2, lifetime: int = 600, cookie: str = "bleen-user"
) -> Route:
    """Return the route that gives ``first`` ``weight`` hundredths of a percent of the users."""
    route = a_route(Split.of(first, weight), green=green, preview=Colour.GREEN)
    return msgspec.structs.replace(route, sticky=Sticky(cookie, lifetime, first))


@pytest.fixture
async def both(world: World) -> World:
    """Blue r1 and green r2, no route yet."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.fill(Colour.GREEN, 2, "green-1")
    return world


async def on_green(world: World, cookies: Sequence[str] = USERS, method: str = "GET", release: str = "r2") -> set[str]:
    """Return which users reach the new release."""
    return {user for user, seen in zip(cookies, await visit(world, cookies, method), strict=True) if seen.release == release}


async def test_the_share_of_the_users_is_that_of_the_split_and_grows_and_shrinks_by_whole_users(both: World) -> None:
    """10 %, 30 %, 50 %: within a point, nobody moves back. And down again: exactly those go who had come."""
    found: dict[int, set[str]] = {}
    for generation, weight in enumerate((1000, 3000, 5000, 1000, 0), 1):
        await both.gateway.set_route(sticky(weight), generation)
        users = await on_green(both)
        assert abs(len(users) / len(USERS) - weight / WHOLE) < 0.01
        assert users == found.setdefault(weight, users)
    assert found[1000] < found[3000] < found[5000]


@pytest.mark.parametrize("first", Colour)
async def test_the_first_colour_takes_from_the_other_whichever_it_is(both: World, first: Colour) -> None:
    """The order of the colours' names says nothing."""
    release = {Colour.BLUE: "r1", Colour.GREEN: "r2"}[first]
    some = USERS[:600]
    await both.gateway.set_route(sticky(2000, first), 1)
    fewer = await on_green(both, some, release=release)
    await both.gateway.set_route(sticky(4000, first), 2)
    assert set() < fewer < await on_green(both, some, release=release)


async def test_a_user_is_served_alike_whatever_the_method(both: World) -> None:
    """What may be tried again and what may not, what is copied and what is not, go the same way."""
    mirrored = msgspec.structs.replace(sticky(5000), mirror=Mirror(WHOLE, ("GET", "PUT")))
    for generation, route in enumerate((sticky(5000), mirrored), 1):
        await both.gateway.set_route(route, generation)
        found = [await on_green(both, USERS[:200], method) for method in ("GET", "POST", "PUT", "OPTIONS")]
        assert all(users == found[0] for users in found)
        assert 60 < len(found[0]) < 140


async def test_returning_users_do_not_drift_to_the_new_release(both: World) -> None:
    """Ten rounds of visits, newcomers in each: whoever was here before meets the release of their first visit."""
    await both.gateway.set_route(sticky(1000), 1)
    known: dict[str, str] = {}
    for _ in range(10):
        newcomers = await visit(both, [""] * 60)
        known |= {seen.cookie: seen.release for seen in newcomers}
        returning = await visit(both, [f"theme=dark; bleen-user={user}" for user in known])
        assert [seen.release for seen in returning] == list(known.values())
        assert not any(seen.cookie for seen in returning)
    assert len(known) == 600
    assert 20 < list(known.values()).count("r2") < 110  # of 600 at 10 %; one visit in ten that moves for good makes it 390


async def test_each_newcomer_gets_a_cookie_of_their_own(both: World) -> None:
    """Behind one address and over one connection: the ids of the requests tell them apart."""
    await both.gateway.set_route(sticky(5000), 1)
    seen = await visit(both, [""] * 200)
    assert len({each.cookie for each in seen}) == 200


async def test_a_newcomer_cannot_choose_their_place(both: World) -> None:
    """An id that a client or a balancer in front puts on its requests is not believed."""
    await both.gateway.set_route(sticky(5000), 1)
    first, second = [(await both.ask(x_request_id="mine")).headers["set-cookie"] for _ in range(2)]
    assert first != second and "mine" not in first + second


async def test_the_cookie_says_for_how_long_and_is_not_for_scripts(both: World) -> None:
    """For the whole site, unseen by scripts; beside what the application sets; none for those who have one."""
    await both.gateway.set_route(sticky(5000, cookie="a%b"), 1)
    given, *more = (await both.ask()).headers.get_list("set-cookie")
    assert (given.startswith("a%b="), more) == (True, [])
    assert given.partition(";")[2] == " Max-Age=600; Path=/; HttpOnly; SameSite=Lax"
    assert "set-cookie" not in (await both.ask(cookie="a%b=7")).headers


async def test_an_empty_cookie_is_none(both: World) -> None:
    """It would be placed at random at each visit."""
    await both.gateway.set_route(sticky(5000), 1)
    assert all(each.cookie for each in await visit(both, ["bleen-user=", "xbleen-user=7", "bleen-user"]))


async def test_with_no_lifetime_the_cookie_is_the_applications(both: World) -> None:
    """None is made beside it."""
    await both.gateway.set_route(sticky(5000, lifetime=0), 1)
    assert not any(each.cookie for each in await visit(both, [""] * 20))
    assert await on_green(both, USERS[:200]) == await on_green(both, USERS[:200])


async def test_an_answer_of_the_split_alone_has_no_cookie(both: World) -> None:
    """With all of the users on one release there is nothing to remember; nor for who asked for a release by name."""
    for generation, route in enumerate((a_route(), sticky(0), sticky(WHOLE)), 1):
        await both.gateway.set_route(route, generation)
        assert "set-cookie" not in (await both.ask()).headers
    await both.gateway.set_route(sticky(5000), 4)
    assert "set-cookie" not in (await both.ask(x_bleen_release="r2")).headers
    assert "set-cookie" not in (await both.ask(host="preview.hello.localhost")).headers


async def test_another_release_comes_to_other_users_first(both: World) -> None:
    """Who met r2 early is not the one who meets r3 early: a fifth of them, as of all."""
    some = USERS[:3000]
    await both.gateway.set_route(sticky(2000), 1)
    second = await on_green(both, some)
    await both.fill(Colour.GREEN, 3, "green-2")
    await both.gateway.set_route(sticky(2000, green=3), 2)
    third = await on_green(both, some, release="r3")
    assert 0.1 < len(second & third) / len(second) < 0.3


async def test_the_service_own_port_places_users_alike(both: World) -> None:
    """A user has one place at every door."""
    await both.gateway.set_route(sticky(5000), 1)
    here = await on_green(both, USERS[:60])
    port = both.gateway.service_port("dev", "hello")
    async with aiohttp.ClientSession() as session:
        there = set()
        for user in USERS[:60]:
            async with session.get(f"http://127.0.0.1:{port}/", headers={"cookie": user}) as answer:
                there |= {user} if answer.headers["x-bleen-release"] == "r2" else set()
    assert here == there


async def test_a_websocket_goes_where_its_user_goes(both: World) -> None:
    """Copied requests beside it or not."""
    await both.gateway.set_route(msgspec.structs.replace(sticky(5000), mirror=Mirror(WHOLE)), 1)
    some = USERS[:20]
    expected = await on_green(both, some)
    for user in some:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(both.url, headers={"host": "hello.localhost", "cookie": user}) as socket,
        ):
            await socket.ping(b"here")
            release = socket._response.headers["x-bleen-release"]
            assert (release == "r2") == (user in expected)


async def test_http_2_goes_where_its_user_goes(both: World) -> None:
    """Where each cookie comes in a header of its own."""
    await both.gateway.set_route(sticky(5000), 1)
    some = USERS[:20]
    expected = await on_green(both, some)
    for user in some:
        body = await _http_2(both, ("cookie", "theme=dark"), ("cookie", user), ("cookie", "x=y"))
        assert body == (b"green-1" if user in expected else b"blue-1")


async def _http_2(world: World, *fields: tuple[str, str]) -> bytes:
    """Return the body of the answer to a GET over HTTP/2, without TLS (RFC 9113)."""
    pseudo = ((":method", "GET"), (":scheme", "http"), (":authority", "hello.localhost"), (":path", "/"))
    # RFC 7541, 6.2.2: a literal header that is not indexed, names and values shorter than 127 bytes.
    block = b"".join(bytes([0, len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in (*pseudo, *fields))
    reader, writer = await asyncio.open_connection(world.place.address, world.place.port)
    end_of_stream_and_headers = 0x5
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0) + _frame(1, end_of_stream_and_headers, 1, block))
    body = b""
    while True:
        head = await reader.readexactly(9)
        kind, flags = head[3], head[4]
        content = await reader.readexactly(int.from_bytes(head[:3], "big"))
        body += content if kind == 0 else b""
        if kind in (0, 1) and flags & 1:
            writer.close()
            return body


def _frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content
