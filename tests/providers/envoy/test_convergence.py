"""Written is not done: only what Envoy reports counts, and it outlives everyone who wrote it."""

import asyncio
import itertools
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import msgspec
import pytest

from bleen.domain.errors import NotConverged, PortTaken, StaleGeneration, StorageFull, Unreachable
from bleen.domain.traffic import Colour, Split
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.files import replace, write_whole
from bleen.providers.envoy.gateway import EnvoyGateway
from bleen.providers.envoy.process import is_serving, write_bootstrap
from bleen.providers.envoy.table import Published, Rounds
from tests.contracts.backends import HERE
from tests.contracts.gateway import BLUE, GREEN, a_backend, a_route, both_colours, seen_by_all
from tests.fixtures.envoy import EnvoyRun, until
from tests.providers.envoy.world import World


async def test_of_changes_back_to_back_the_last_always_wins(gateway: EnvoyGateway, backends: EnvoyBackends) -> None:
    """Two hundred times promote, then roll back at once: each is in force within 100 ms, as the gateway reports."""
    await both_colours(backends)
    slowest = 0.0
    for generation in range(1, 401):
        began = time.monotonic()
        await gateway.set_route(a_route(BLUE if generation % 2 else GREEN), generation)
        slowest = max(slowest, time.monotonic() - began)
        if generation % 2 == 0:
            assert (await seen_by_all(gateway)).generation == generation
    assert slowest < 0.5, "100 ms on a machine that does nothing else: bench/switch.py measures it"


async def test_changes_that_come_together_are_written_together() -> None:
    """A hundred at once need two writes: the first's, and one for all that came meanwhile."""
    sizes = []

    async def commit(changes: Mapping[int, int]) -> Mapping[int, Exception]:
        sizes.append(len(changes))
        await asyncio.sleep(0.01)
        return {number: StaleGeneration("odd") for number, change in changes.items() if change % 2}

    rounds: Rounds[int] = Rounds(commit)
    outcomes = await asyncio.gather(*(rounds.put(n) for n in range(100)), return_exceptions=True)
    assert sizes in ([100], [1, 99])
    assert [isinstance(outcome, StaleGeneration) for outcome in outcomes] == [False, True] * 50


async def test_of_a_hundred_at_once_the_newest_is_in_force(gateway: EnvoyGateway, backends: EnvoyBackends) -> None:
    """Whatever became of the others, each is told."""
    await both_colours(backends)
    orders = [gateway.set_route(a_route(Split(blue=n, green=10_000 - n)), n) for n in range(1, 101)]
    outcomes = await asyncio.gather(*orders, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, StaleGeneration) for outcome in outcomes)
    assert (await seen_by_all(gateway)).generation == 100


async def test_a_change_that_nobody_waits_for_is_not_made(gateway: EnvoyGateway, backends: EnvoyBackends) -> None:
    """Cancelled while it waits for its turn, a route does not come into force with the next one."""
    for service in ("hello", "other"):
        await both_colours(backends, service)
    first = asyncio.create_task(gateway.set_route(a_route(BLUE), 1))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(gateway.set_route(a_route(GREEN), 2))
    await asyncio.sleep(0)
    waiting.cancel()
    await gateway.set_route(a_route(BLUE, service="other"), 1)
    await first
    assert (await seen_by_all(gateway)).generation == 1


class Forgetful:
    """A reader of a file who misses some renames for good, as Envoy can."""

    def __init__(self, path: Path, misses: int) -> None:
        self._path = path
        self._misses = misses
        self._last = 0
        self.has = ""

    async def look(self) -> str:
        """Return what is missing."""
        written = self._path.stat().st_ino if self._path.exists() else 0
        if written != self._last:
            self._last = written
            if self._misses:
                self._misses -= 1
            else:
                self.has = msgspec.json.decode(self._path.read_bytes())["version"]
        return "" if self.has == "2" else "version 2"


async def test_a_write_that_was_lost_is_written_again(envoy: EnvoyRun, home: Path) -> None:
    """Not there within 100 ms: it is renamed into place once more, and again."""
    reader = Forgetful(home / "file.json", misses=2)
    began = time.monotonic()
    await Published(envoy.place, home / "file.json").publish({"version": "2"}, reader.look)
    assert reader.has == "2"
    assert 0.2 <= time.monotonic() - began < 1.0


async def test_a_write_that_never_arrives_is_an_error(envoy: EnvoyRun, home: Path) -> None:
    """After two seconds it says which gateway lacks what."""
    reader = Forgetful(home / "file.json", misses=1000)
    with pytest.raises(NotConverged, match=r"gateway local did not take file.json: version 2"):
        await Published(envoy.place, home / "file.json").publish({"version": "2"}, reader.look)


async def test_renames_keep_their_distance(home: Path) -> None:
    """However fast they are asked for, two renames are 10 ms apart, the file's own time being the witness."""
    path, times = home / "file.json", []
    for number in range(5):
        await replace(path, str(number).encode(), 0.010)
        times.append(path.stat().st_mtime_ns)
    assert min(later - sooner for sooner, later in itertools.pairwise(times)) >= 9_000_000


def test_a_full_disk_leaves_the_old_file(home: Path) -> None:
    """No room is an error that says so; what was there stays, whole, and no draft is left."""
    path = home / "routes.json"
    write_whole(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageFull, match=r"routes\.json"):
            write_whole(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert [each.name for each in home.iterdir()] == ["routes.json"]


async def test_envoy_comes_back_from_its_files(world: World, envoy: EnvoyRun) -> None:
    """Killed and started again with nobody to tell it anything: the same route, generation and instances."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.gateway.set_route(a_route(BLUE, preview=Colour.GREEN, green=None), 12)
    own = world.gateway.service_port("dev", "hello")
    before = await seen_by_all(world.gateway)
    envoy.kill()
    assert not (await world.gateway.observe("dev", "hello"))[0].answered
    await envoy.start()
    assert await seen_by_all(world.gateway) == before
    assert (await world.ask()).text == "blue-1"
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{own}/")).text == "blue-1"


async def test_a_new_writer_knows_what_the_last_one_did(
    envoy: EnvoyRun, gateway: EnvoyGateway, backends: EnvoyBackends
) -> None:
    """A controller and an agent that were started anew keep other services, backends, ports and generations."""
    for service in ("hello", "other"):
        await both_colours(backends, service)
    await gateway.set_route(a_route(GREEN), 5)
    anew, members = EnvoyGateway([envoy.place], envoy.place.folder.parent, services=0), EnvoyBackends([envoy.place])
    assert anew.service_port("dev", "hello") == gateway.service_port("dev", "hello")
    with pytest.raises(StaleGeneration):
        await anew.set_route(a_route(BLUE), 4)
    await anew.set_route(a_route(BLUE, service="other"), 1)
    await members.set_backend(a_backend(Colour.BLUE, 3))
    assert (await seen_by_all(gateway)).route == a_route(GREEN)
    backends_seen = (await seen_by_all(gateway)).backends
    assert [(b.release, b.baseline) for b in backends_seen] == [(1, True), (1, False), (3, False), (2, False)]
    await anew.close()
    await members.close()


async def test_two_writers_at_once_lose_neither_change(envoy: EnvoyRun, gateway: EnvoyGateway, backends: EnvoyBackends) -> None:
    """Two controllers, for a moment: they take turns."""
    for service in ("hello", "other"):
        await both_colours(backends, service)
    second = EnvoyGateway([envoy.place], envoy.place.folder.parent, services=0)
    await asyncio.gather(
        *(gateway.set_route(a_route(BLUE), n) for n in range(5, 6)), second.set_route(a_route(GREEN, service="other"), 7)
    )
    assert (await seen_by_all(gateway)).generation == 5
    assert (await seen_by_all(gateway, "other")).generation == 7
    await second.close()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"resources": [{"virtual_hosts": 3}]}', None])
async def test_a_damaged_routes_file_is_made_anew_from_envoy(
    envoy: EnvoyRun, gateway: EnvoyGateway, backends: EnvoyBackends, damage: bytes | None
) -> None:
    """Half a file, or none: what Envoy has is the truth, and no other service loses its route."""
    for service in ("hello", "other"):
        await both_colours(backends, service)
    await gateway.set_route(a_route(GREEN), 5)
    if damage is None:
        envoy.place.routes.unlink()
    else:
        envoy.place.routes.write_bytes(damage)
    await gateway.set_route(a_route(BLUE, service="other"), 1)
    assert (await seen_by_all(gateway)).route == a_route(GREEN)


async def test_a_silent_envoy_is_named_and_no_one_waits_for_it(
    envoy: EnvoyRun, gateway: EnvoyGateway, backends: EnvoyBackends
) -> None:
    """Frozen: about a second to see that it does not answer, and what it was told it has when it wakes."""
    await both_colours(backends)
    await gateway.set_route(a_route(BLUE), 1)
    envoy.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    (seen,) = await gateway.observe("dev", "hello")
    assert (seen.answered, seen.route, seen.gateway) == (False, None, "local")
    assert time.monotonic() - began < 1.6
    assert await backends.routed("dev.nobody.blue.r1")
    assert await backends.active("dev.hello.blue.r1", "127.0.0.1") == 0
    with pytest.raises(Unreachable, match="gateway local"):
        await backends.remove_backend("dev.nobody.blue.r1")
    with pytest.raises(NotConverged, match="gateway local"):
        await gateway.set_route(a_route(GREEN), 2)
    envoy.process.send_signal(signal.SIGCONT)
    await until(lambda: _has(gateway, 2))


async def _has(gateway: EnvoyGateway, generation: int) -> bool:
    return (await gateway.observe("dev", "hello"))[0].generation == generation


async def test_a_port_that_is_taken_is_named(home: Path) -> None:
    """Envoy runs on without its listener: that is no readiness, and the message says what to set."""
    run = EnvoyRun(home)
    with socket.socket() as other:
        other.bind((run.place.address, run.place.port))
        other.listen()
        with pytest.raises(PortTaken, match=f"{run.place.port}"):
            await run.start()
    run.kill()


async def test_the_second_platform_on_one_port_is_refused(envoy: EnvoyRun, tmp_path: Path) -> None:
    """Two Envoys never share a port in silence, which Linux would let them do."""
    second = EnvoyRun(envoy.place.folder.parent.parent / "second")
    second.place = type(second.place)("local", second.place.folder, second.place.admin, envoy.place.port)
    with pytest.raises(PortTaken):
        await second.start()
    second.kill()
    assert await is_serving(envoy.place)


async def test_a_services_port_that_is_taken_is_skipped(envoy: EnvoyRun, home: Path, backends: EnvoyBackends) -> None:
    """The next free one is given, and kept."""
    await both_colours(backends)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken: int = other.getsockname()[1]
        gateway = EnvoyGateway([envoy.place], home / "gateway", services=taken)
        await gateway.set_route(a_route(), 1)
        given = gateway.service_port("dev", "hello")
        assert given is not None
        assert given > taken
        await gateway.close()


async def test_a_services_port_that_was_lost_hinders_no_route(world: World, envoy: EnvoyRun, home: Path) -> None:
    """Taken while Envoy was down: the next route is in force all the same, and the service has another port."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    before = world.gateway.service_port("dev", "hello")
    assert before is not None
    envoy.kill()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", before))
        other.listen()
        await envoy.start()
        anew = EnvoyGateway([envoy.place], home / "gateway", services=0)
        await anew.set_route(a_route(BLUE, green=None), 2)
        after = anew.service_port("dev", "hello")
        assert after not in (None, before)
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            assert (await client.get(f"http://127.0.0.1:{after}/")).text == "blue-1"
        await anew.close()


@pytest.fixture
async def regions(home: Path) -> AsyncIterator[list[EnvoyRun]]:
    """Two regions, on one port number."""
    first = EnvoyRun(home, "east")
    second = EnvoyRun(home, "west", "127.0.0.2")
    await asyncio.gather(first.start(), second.start())
    yield [first, second]
    first.kill()
    second.kill()


async def test_every_region_is_told_or_none(regions: list[EnvoyRun]) -> None:
    """A backend that one gateway lacks: no gateway gets the route. A gateway that is dead: the others do."""
    places = [run.place for run in regions]
    gateway, everywhere = EnvoyGateway(places, places[0].folder.parent, services=0), EnvoyBackends(places)
    await everywhere.set_backend(a_backend(Colour.BLUE, 1, *HERE))
    await gateway.set_route(a_route(BLUE, green=None), 1)
    only_east = EnvoyBackends(places[:1])
    await only_east.set_backend(a_backend(Colour.GREEN, 2))
    with pytest.raises(Exception, match="no backend"):
        await gateway.set_route(a_route(GREEN), 2)
    assert {each.generation for each in await gateway.observe("dev", "hello")} == {1}
    regions[1].kill()
    with pytest.raises(NotConverged, match="gateway west"):
        await gateway.set_route(a_route(BLUE, green=None), 3)
    assert [(each.region, each.answered, each.generation) for each in await gateway.observe("dev", "hello")] == [
        ("east", True, 3),
        ("west", False, 0),
    ]
    await regions[1].start()
    assert {each.generation for each in await gateway.observe("dev", "hello")} == {3}
    for each in (gateway, everywhere, only_east):
        await each.close()


async def test_starting_again_keeps_routes_and_backends(
    envoy: EnvoyRun, gateway: EnvoyGateway, backends: EnvoyBackends
) -> None:
    """Writing what Envoy starts from leaves what it was told."""
    await both_colours(backends)
    await gateway.set_route(a_route(GREEN), 3)
    files = [path.read_bytes() for path in (envoy.place.routes, envoy.place.clusters)]
    write_bootstrap(envoy.place)
    assert [path.read_bytes() for path in (envoy.place.routes, envoy.place.clusters)] == files
