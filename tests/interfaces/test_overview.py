"""Services at a glance, and one in words: what the console and whoever else reads them is told."""

import httpx

from bleen.domain.access import Role
from bleen.domain.service import BlueGreen
from bleen.interfaces.client import Client
from bleen.interfaces.views import TokenOrder
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_api import request, settled, until

ASKS = BlueGreen(auto_promote=False)


def ask(estate: Estate, path: str, secret: str = TOKEN) -> dict[str, object]:
    """Return the answer."""
    answer = httpx.get(estate.address + path, headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def waiting(client: Client) -> None:
    """Let a second release wait for a person."""
    client.deploy(request())
    until(client, lambda v: v.progress is None and settled(v))
    client.deploy(request("2", strategy=ASKS))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")


def verbs(estate: Estate, secret: str = TOKEN) -> list[str]:
    """Return what may be told now."""
    acts = ask(estate, "/v1/services/hello/live", secret)["acts"]
    assert isinstance(acts, list) and all(act["means"] for act in acts)
    return [act["verb"] for act in acts]


def test_a_row_has_both_colours_and_what_goes_on(estate: Estate, client: Client) -> None:
    """In the words of the command line; a service that is not asked for is left out."""
    waiting(client)
    [row] = ask(estate, "/v1/overview?service=hello")["services"]  # type: ignore[misc]
    assert [(slot["colour"], slot["release"], slot["version"], slot["weight"]) for slot in row["colours"]] == [
        ("blue", 1, "1", 100.0),
        ("green", 2, "2", 0.0),
    ]
    assert row["state"] == "changing" and row["motion"]["asks"] and row["motion"]["at"] == "ask a person"
    assert ask(estate, "/v1/overview?service=other")["services"] == []


def test_what_is_over_is_no_motion(estate: Estate, client: Client) -> None:
    """Its row is quiet again; the engine is not asked for a service that the ledger knows to be at rest."""
    client.deploy(request(strategy=BlueGreen(warm=request().spec.strategy.warm)))
    until(client, lambda v: v.progress is None and settled(v))
    [row] = ask(estate, "/v1/overview")["services"]  # type: ignore[misc]
    assert (row["state"], row["motion"]) == ("serving", None)


def test_steps_say_how_far_it_is(estate: Estate, client: Client) -> None:
    """Done, now, to come."""
    waiting(client)
    steps = ask(estate, "/v1/services/hello/live")["steps"]
    assert [step["state"] for step in steps] == ["done", "done", "now", "to come", "to come", "to come"]  # type: ignore[attr-defined]


def test_acts_are_those_that_make_sense_and_that_one_may(estate: Estate, client: Client) -> None:
    """A viewer is offered nothing, a deployer no approval; a pause can be ended, and not begun twice."""
    waiting(client)
    secret = {role: client.make_token(TokenOrder("ada", {"dev": role}, "t")).secret for role in Role}
    assert verbs(estate) == ["promote", "pause", "abort"]
    assert verbs(estate, secret[Role.APPROVER]) == ["promote", "pause", "abort"]
    assert verbs(estate, secret[Role.DEPLOYER]) == ["pause", "abort"]
    assert verbs(estate, secret[Role.VIEWER]) == []
    httpx.post(
        f"{estate.address}/v1/services/hello/commands",
        json={"type": "pause", "by": "ada"},
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    assert verbs(estate) == ["promote", "resume", "abort"]


def test_what_is_at_rest_can_be_removed_by_a_deployer(estate: Estate, client: Client) -> None:
    """Not by a viewer, and not while a rollout is under way."""
    client.deploy(request())
    until(client, lambda v: v.progress is None and settled(v))
    secret = {role: client.make_token(TokenOrder("ada", {"dev": role}, "t")).secret for role in Role}
    assert [verbs(estate, secret[role]) for role in (Role.VIEWER, Role.DEPLOYER)] == [[], ["remove"]]
    client.deploy(request("2", strategy=ASKS))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")
    assert "remove" not in verbs(estate)


def test_what_is_promoted_can_be_rolled_back(estate: Estate, client: Client) -> None:
    """While the old fleet is warm; the first release has nothing to go back to."""
    client.deploy(request())
    until(client, lambda v: v.progress is None and settled(v))
    assert verbs(estate) == ["remove"]
    client.deploy(request("2"))
    until(client, settled)
    assert verbs(estate) == ["rollback"]
