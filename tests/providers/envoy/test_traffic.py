"""What a request meets at a real Envoy."""

import asyncio
import signal

import aiohttp
import httpx
import pytest

from bleen.domain.traffic import Colour, Split
from tests.contracts.gateway import BLUE, GREEN, a_route, seen_by_all
from tests.fixtures.envoy import EnvoyRun, until
from tests.providers.envoy.world import World


@pytest.fixture
async def both(world: World) -> World:
    """Blue r1 has all traffic, green r2 is the preview."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.fill(Colour.GREEN, 2, "green-1")
    await world.gateway.set_route(a_route(BLUE, preview=Colour.GREEN), 1)
    return world


async def test_an_answer_names_the_release_that_gave_it(both: World) -> None:
    """In ``x-bleen-release``, once, whatever the instance says of itself; nothing of Envoy's shows."""
    answer = await both.ask()
    assert (answer.status_code, answer.text, answer.headers.get_list("x-bleen-release")) == (200, "blue-1", ["r1"])
    assert not [name for name in answer.headers if name.startswith("x-envoy") or name == "server"]


@pytest.mark.parametrize(("wanted", "answer"), [("r1", "blue-1"), ("blue", "blue-1"), ("r2", "green-1"), ("green", "green-1")])
async def test_the_header_reaches_any_filled_slot(both: World, wanted: str, answer: str) -> None:
    """By release or by colour, whatever the weights, on any method."""
    for method in ("GET", "POST"):
        assert (await both.ask(method=method, x_bleen_release=wanted)).text == answer


@pytest.mark.parametrize("wanted", ["r3", "r", "r11", "R1", "purple", ""])
async def test_a_header_that_names_no_slot_is_told_so(both: World, wanted: str) -> None:
    """404, with what the slots hold; never another release."""
    answer = await both.ask(x_bleen_release=wanted)
    assert answer.status_code == 404
    assert answer.text == "bleen: hello has no such release here: blue holds r1, green holds r2\n"


async def test_the_preview_answers_at_its_own_host(both: World) -> None:
    """With or without a port, at the shared port or the service's own; without a preview, it says so."""
    own = both.gateway.service_port("dev", "hello")
    for host in ("preview.hello.localhost", "preview.hello.localhost:8080", "Preview.Hello.Localhost"):
        assert (await both.ask(host=host)).text == "green-1"
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{own}/", headers={"host": "preview.hello.localhost"})
        assert answer.text == "green-1"
    await both.gateway.set_route(a_route(BLUE), 2)
    answer = await both.ask(host="preview.hello.localhost")
    assert (answer.status_code, answer.text) == (404, "bleen: hello has no preview now\n")


async def test_each_service_has_a_port_of_its_own(both: World) -> None:
    """Programs that cannot resolve ``hello.localhost`` need no Host header there; the port is kept while it has a route."""
    own = both.gateway.service_port("dev", "hello")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{own}/")).text == "blue-1"
    await both.gateway.set_route(a_route(GREEN), 3)
    assert both.gateway.service_port("dev", "hello") == own
    assert both.gateway.service_port("dev", "nobody") is None


async def test_a_removed_service_lets_its_own_port_go(both: World) -> None:
    """Nobody listens there any more; deployed again it has one, which answers."""
    own = both.gateway.service_port("dev", "hello")
    await both.gateway.remove_route("dev", "hello", 2)
    await both.gateway.remove_route("dev", "hello", 2)
    assert both.gateway.service_port("dev", "hello") is None
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{own}/")
        assert (await both.ask()).status_code == 404
        await both.gateway.set_route(a_route(GREEN), 3)
        again = both.gateway.service_port("dev", "hello")
        assert (await client.get(f"http://127.0.0.1:{again}/")).text == "green-1"


async def test_a_gateway_that_turns_users_away_still_answers_at_a_services_own_port(both: World, envoy: EnvoyRun) -> None:
    """Where checks come in: a good release is not refused because too many others have connected."""
    envoy.kill()
    await envoy.start(connections=20)
    own = f"http://127.0.0.1:{both.gateway.service_port('dev', 'hello')}/"
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=20)) as users, httpx.AsyncClient() as check:

        async def answered() -> bool:
            return (await check.get(own)).status_code == 200

        await until(answered)
        many = [users.get(f"{both.url}/", headers={"host": "hello.localhost"}) for _ in range(20)]
        assert {answer.status_code for answer in await asyncio.gather(*many)} == {200}
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await both.ask()
        assert (await check.get(own)).text == "blue-1"
        async with httpx.AsyncClient() as another:
            assert (await another.get(own)).text == "blue-1"


async def test_an_unknown_host_is_told_which_there_are(both: World) -> None:
    """404 in one line."""
    answer = await both.ask(host="nobody.localhost")
    assert answer.status_code == 404
    assert answer.text == "bleen: no service answers to this host name; these do: hello.localhost\n"


async def test_a_service_without_a_release_says_so(world: World) -> None:
    """503, and not a silence: weight on an empty slot is the state before the first release."""
    await world.gateway.set_route(a_route(BLUE, blue=None, green=None), 1)
    answer = await world.ask()
    assert (answer.status_code, answer.text) == (503, "bleen: no release of hello serves yet\n")


async def test_an_empty_slot_takes_no_more_than_its_weight(world: World) -> None:
    """Half of the weight on an empty slot: about half of the requests are told so, the others served."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.gateway.set_route(a_route(Split(blue=5000, green=5000), green=None), 1)
    answers = [(await world.ask()).status_code for _ in range(60)]
    assert 10 < answers.count(200) < 50
    assert answers.count(200) + answers.count(503) == 60


async def test_the_answer_of_a_release_is_its_own(both: World) -> None:
    """A 500 or 503 of the application is passed on, once, and not tried again elsewhere: analysis must see it."""
    for status in (500, 503, 404):
        answer = await both.ask(f"/status/{status}")
        assert (answer.status_code, answer.headers["x-bleen-release"]) == (status, "r1")


async def test_host_and_client_address_are_passed_on(both: World) -> None:
    """The instance sees the Host as it was sent, and whom the request came from."""
    text = (await both.ask("/echo", host="hello.localhost:1234", x_forwarded_for="10.1.2.3")).text
    assert "host: hello.localhost:1234" in text
    assert "x-forwarded-for: 10.1.2.3," in text


async def test_http_1_0_is_served(both: World) -> None:
    """Old load generators and probes speak nothing else."""
    reader, writer = await asyncio.open_connection(both.place.address, both.place.port)
    writer.write(b"GET / HTTP/1.0\r\nhost: hello.localhost\r\n\r\n")
    assert b"blue-1" in await reader.read()
    writer.close()


async def test_two_services_go_two_ways(both: World) -> None:
    """By host, each with splits of its own."""
    await both.fill(Colour.BLUE, 1, "other-1", service="other")
    await both.gateway.set_route(a_route(BLUE, service="other", green=None), 1)
    await both.gateway.set_route(a_route(GREEN), 2)
    assert (await both.ask(host="other.localhost")).text == "other-1"
    assert (await both.ask()).text == "green-1"


async def test_a_websocket_passes_and_outlives_a_switch(both: World) -> None:
    """It stays with the release that it was opened on, and counts as a request under way until it is closed."""
    name, (seen, *_) = "dev.hello.blue.r1", (await seen_by_all(both.gateway)).backends
    address = seen.endpoints[0].endpoint.address
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(both.url, headers={"host": "hello.localhost"}) as socket,
    ):
        assert await both.backends.active(name, address) == 1
        await both.gateway.set_route(a_route(GREEN), 2)
        await both.backends.set_backend(both.backend(Colour.BLUE, 1, ()))
        await socket.ping(b"still here")
        assert await both.backends.active(name, address) == 1
    await until(lambda: _idle(both, name, address))


async def test_a_stream_outlives_its_backend(both: World) -> None:
    """Events go on to the end after the switch, and after the instance left the backend; then nothing is under way."""
    name, (seen, *_) = "dev.hello.blue.r1", (await seen_by_all(both.gateway)).backends
    address = seen.endpoints[0].endpoint.address
    stream = asyncio.create_task(both.ask("/stream/1"))
    await until(lambda: _busy(both, name, address))
    await both.gateway.set_route(a_route(GREEN, blue=None), 2)
    await both.backends.set_backend(both.backend(Colour.BLUE, 1, ()))
    assert await both.backends.active(name, address) == 1
    assert (await stream).text.count("data:") == 10
    await until(lambda: _idle(both, name, address))
    await both.backends.remove_backend(name)


async def _busy(world: World, name: str, address: str) -> bool:
    return await world.backends.active(name, address) > 0


async def _idle(world: World, name: str, address: str) -> bool:
    return await world.backends.active(name, address) == 0


async def test_a_new_instance_is_healthy_at_once(world: World) -> None:
    """By the time that a gateway reports a backend, its instances have been probed."""
    await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    (seen,) = (await seen_by_all(world.gateway)).backends
    assert (seen.healthy, len(seen.endpoints)) == (2, 2)


async def test_a_sick_instance_gets_no_requests(world: World) -> None:
    """An instance that fails its health path is seen as unhealthy, spared, and taken back when it passes again."""
    await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    await world.gateway.set_route(a_route(BLUE), 1)
    world.instances.signal("blue-1", signal.SIGUSR1)
    await until(lambda: _healthy(world, 1))
    assert {(await world.ask()).text for _ in range(20)} == {"blue-2"}
    world.instances.signal("blue-1", signal.SIGUSR2)
    await until(lambda: _healthy(world, 2))


async def test_where_all_are_sick_requests_are_still_tried(world: World) -> None:
    """A health path that fails everywhere must not take down what could serve."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.gateway.set_route(a_route(BLUE), 1)
    world.instances.signal("blue-1", signal.SIGUSR1)
    await until(lambda: _healthy(world, 0))
    assert (await world.ask()).status_code == 200


async def _healthy(world: World, count: int) -> bool:
    return (await seen_by_all(world.gateway)).backends[0].healthy == count
