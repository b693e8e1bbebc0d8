"""The gateways in memory keep the contracts, and have the faults of real ones."""

import pytest

from bleen.domain.errors import LawBroken, NotConverged, StaleGeneration, Unreachable
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from tests.contracts.backends import NAME, BackendsContract
from tests.contracts.gateway import BLUE, GREEN, GatewayContract, a_route, both_colours


@pytest.fixture
def gateways() -> MemoryGateways:
    return MemoryGateways(("east", "west"))


@pytest.fixture
def gateway(gateways: MemoryGateways) -> MemoryGateway:
    return MemoryGateway(gateways)


@pytest.fixture
def backends(gateways: MemoryGateways) -> MemoryBackends:
    return MemoryBackends(gateways)


class TestMemoryGateway(GatewayContract):
    """The kit."""


class TestMemoryBackends(BackendsContract):
    """The kit."""


@pytest.fixture
async def on_blue(gateways: MemoryGateways, gateway: MemoryGateway, backends: MemoryBackends) -> MemoryGateways:
    """All on blue, under generation 1."""
    await both_colours(backends)
    await gateway.set_route(a_route(BLUE), 1)
    return gateways


async def seen_in(gateway: MemoryGateway, region: str) -> int | None:
    """Return the generation that the gateway of ``region`` reports; None where it is silent."""
    (seen,) = (each for each in await gateway.observe("dev", "hello") if each.region == region)
    return seen.generation if seen.answered else None


async def test_a_silent_gateway_is_told_and_known_not_to_answer(
    on_blue: MemoryGateways, gateway: MemoryGateway, backends: MemoryBackends
) -> None:
    """It does not hinder the others; what it was told it has when it speaks again; till then it may route to anything."""
    on_blue.regions["west"].answers = False
    with pytest.raises(NotConverged, match="west"):
        await gateway.set_route(a_route(GREEN), 2)
    assert (await seen_in(gateway, "east"), await seen_in(gateway, "west")) == (2, None)
    assert await backends.routed("dev.nobody.blue.r1")
    with pytest.raises(Unreachable):
        await backends.remove_backend("dev.nobody.blue.r1")
    on_blue.regions["west"].answers = True
    assert await seen_in(gateway, "west") == 2


async def test_a_late_write_is_seen_later(on_blue: MemoryGateways, gateway: MemoryGateway) -> None:
    """It is not converged, then it is there, with nobody writing again."""
    on_blue.regions["east"].late = 2
    with pytest.raises(NotConverged):
        await gateway.set_route(a_route(GREEN), 2)
    assert [await seen_in(gateway, "east") for _ in range(4)] == [1, 1, 2, 2]
    with pytest.raises(StaleGeneration):
        await gateway.set_route(a_route(BLUE), 1)


async def test_a_lost_write_is_there_when_written_again(on_blue: MemoryGateways, gateway: MemoryGateway) -> None:
    """Lost, the old route stays in force for good; the same order again brings the new one."""
    on_blue.regions["east"].loses = 1
    with pytest.raises(NotConverged):
        await gateway.set_route(a_route(GREEN), 2)
    assert [await seen_in(gateway, "east") for _ in range(3)] == [1, 1, 1]
    await gateway.set_route(a_route(GREEN), 2)
    assert await seen_in(gateway, "east") == 2


async def test_a_stale_report_keeps_law_3(on_blue: MemoryGateways, gateway: MemoryGateway, backends: MemoryBackends) -> None:
    """While a gateway reports the old route, the old backend is not removed."""
    on_blue.regions["west"].stale = True
    with pytest.raises(NotConverged):
        await gateway.set_route(a_route(GREEN, blue=None), 2)
    with pytest.raises(LawBroken):
        await backends.remove_backend(NAME)
    on_blue.regions["west"].stale = False
    await backends.remove_backend(NAME)
