"""Behind a gateway that cannot do it, a deployment or a removal is refused before anything begins, whoever asks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bleen.domain.canary import Measure, Weight
from bleen.domain.errors import InvalidInput
from bleen.domain.fidelity import GatewayMode
from bleen.domain.ledger import Query
from bleen.domain.service import BlueGreen, Canary
from bleen.interfaces.client import Client
from bleen.interfaces.views import RemovalOrder
from bleen.workflows.messages import DeployRequest
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import Estate
from tests.interfaces.test_api import request, until
from tests.interfaces.test_overview import verbs

CANARY = Canary(steps=(Weight(10), Measure(), Weight(100)))


@pytest.fixture
def flipping(idle: Estate) -> Iterator[Client]:
    """A client of a platform whose gateway has all of a service or nothing."""
    idle.behind(GatewayMode.FLIP)
    idle.up()
    with Client(idle.server()) as client:
        yield client


@pytest.mark.parametrize("ask", [Client.deploy, Client.dry_run], ids=["deploy", "dry run"])
def test_a_canary_is_refused_before_it_begins(
    idle: Estate, flipping: Client, ask: Callable[[Client, DeployRequest], object]
) -> None:
    """With the first thing that cannot be, how many there are, and where to write what instead; nothing is built or entered."""
    with pytest.raises(InvalidInput) as caught:
        ask(flipping, request(strategy=CANARY))
    assert caught.value.what == "a weight of 10 % cannot be given in dev, whose gateway is appgw-flip, and 1 more"
    assert caught.value.next.startswith("in place of strategy.steps.0.percent: strategy: {type: blue-green}")
    assert not idle.run(idle.ledger.read(Query()))
    assert not idle.run(idle.images.list())


def test_blue_green_is_deployed(flipping: Client) -> None:
    """It asks for 0 and 100 % only."""
    flipping.deploy(request(strategy=BlueGreen()))
    assert until(flipping, lambda view: view.stable is not None).stable


def test_a_removal_is_refused_before_it_begins(idle: Estate, flipping: Client) -> None:
    """What such a gateway has it keeps: the service goes on to serve, and no removal was entered."""
    flipping.deploy(request())
    until(flipping, lambda view: view.progress is None)
    with pytest.raises(InvalidInput, match="cannot answer 404 for hello"):
        flipping.remove("dev", "hello", RemovalOrder("ada", "nobody uses it"))
    assert until(flipping, lambda view: view.removing is None).stable
    assert verbs(idle) == []
    assert not idle.run(idle.ledger.read(Query(kinds=("removal-decided",))))


def test_the_command_line_says_so(flipping: Client, repository: Path, bleen: Bleen) -> None:
    """With what to write instead, and the exit code of bad input; `bleen validate` did not know of this gateway."""
    path = repository / "applications/hello/service.yaml"
    path.write_text(path.read_text().replace("type: blue-green", "type: canary").replace("  abort_delay: 0s\n", ""))
    assert bleen("validate").code == 0
    typed = bleen("deploy", "hello")
    assert typed.code == 2
    assert "whose gateway is appgw-flip" in " ".join(typed.err.split()) and "{type: blue-green}" in typed.err
