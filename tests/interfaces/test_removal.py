"""Removing a service, from the command line to the ledger."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bleen.domain.decision import Wait
from bleen.domain.errors import Conflict, Forbidden, Frozen, InvalidInput, Moved, NotFound
from bleen.domain.ledger import FreezeOverridden, GlassBroken, Query, ServiceRemoved
from bleen.domain.service import BlueGreen
from bleen.interfaces.cli import remove
from bleen.interfaces.client import Client
from bleen.interfaces.views import FreezeOrder, RemovalOrder
from tests.interfaces.conftest import Bleen, write_service
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_access import Maker, holder, make, strict  # noqa: F401
from tests.interfaces.test_api import request, settled, until

Holder = Callable[[str], Client]
UNUSED = RemovalOrder("ada", "nobody uses it")


@pytest.fixture
def served(client: Client) -> Iterator[Client]:
    """A client of a platform on which ``hello`` serves, and nothing is under way."""
    client.deploy(request())
    until(client, lambda view: view.progress is None)
    yield client


def gone(client: Client) -> NotFound:
    """Return what is said of ``hello`` once it is gone."""
    deadline = time.monotonic() + 10
    while True:
        try:
            client.service("dev", "hello")
        except NotFound as error:
            return error
        assert time.monotonic() < deadline
        time.sleep(0.01)


def entries(estate: Estate, kind: str) -> list[tuple[str, object]]:
    """Return who made which entries of a kind."""
    return [(entry.by, entry.event) for entry in estate.run(estate.ledger.read(Query(kinds=(kind,))))]


# ---- the API ----


def test_a_removed_service_is_gone_and_its_past_is_not(estate: Estate, served: Client) -> None:
    """The route, the fleets and the port of its own are; history, explanation and audit still answer."""
    removing = served.remove("dev", "hello", UNUSED)
    assert (removing.by, removing.reason) == ("ada", "nobody uses it")
    told = gone(served)
    assert "any more" in told.what and "ada removed it" in told.why and "bleen deploy hello" in told.next
    assert served.services("dev").services == ()
    assert estate.run(estate.fleets.observe()) == ()
    assert estate.run(estate.gateway.hosts()) == {}
    assert estate.gateway.service_port("dev", "hello") is None
    [(by, event)] = entries(estate, "service-removed")
    assert by == "ada" and isinstance(event, ServiceRemoved) and event.reason == "nobody uses it"
    history = served.history("dev", "hello")
    assert [len(history.rollouts), [r.reason for r in history.removals]] == [1, ["nobody uses it"]]
    assert served.explain_last("dev", "hello").lines
    assert "removed" in [line.what.partition(":")[0] for line in served.audit(service="hello").entries]


def test_it_can_be_deployed_again(served: Client) -> None:
    """Under the next number, and its history has both lives."""
    served.remove("dev", "hello", UNUSED)
    gone(served)
    served.deploy(request("2"))
    view = until(served, lambda view: view.progress is None and view.stable is not None)
    assert view.stable is not None and view.stable.number == 2
    assert len(served.history("dev", "hello").rollouts) == 2


def test_a_service_that_is_not_there_cannot_be_removed(served: Client) -> None:
    """404, for one that never was and for one that is gone."""
    with pytest.raises(NotFound, match="ever deployed"):
        served.remove("dev", "nobody", UNUSED)
    served.remove("dev", "hello", UNUSED)
    gone(served)
    with pytest.raises(NotFound, match="any more"):
        served.remove("dev", "hello", UNUSED)


def test_a_rollout_under_way_is_named(served: Client) -> None:
    """409, with the command that ends it."""
    served.deploy(request("2", strategy=BlueGreen(auto_promote=False)))
    until(served, lambda view: view.progress is not None)
    with pytest.raises(Conflict, match="dev/hello/2 is under way") as refused:
        served.remove("dev", "hello", UNUSED)
    assert "bleen abort hello" in refused.value.next


def test_what_is_only_kept_warm_is_no_rollout_under_way(estate: Estate, served: Client) -> None:
    """It goes with the service."""
    served.deploy(request("2"))
    until(served, lambda view: settled(view) and isinstance(view.progress and view.progress.decision, Wait))
    served.remove("dev", "hello", UNUSED)
    gone(served)
    assert estate.run(estate.fleets.observe()) == ()


def test_a_freeze_keeps_a_service(estate: Estate, served: Client, make: Maker, holder: Holder) -> None:  # noqa: F811
    """409, as for a deployment; an approver may override it, and everybody hears of that."""
    served.freeze("dev", FreezeOrder("ada", "a fair"))
    with pytest.raises(Frozen, match="no removals now") as refused:
        served.remove("dev", "hello", UNUSED)
    assert "bleen remove --override-freeze" in refused.value.next
    order = RemovalOrder("x", "nobody uses it", override_freeze="it leaks")
    with pytest.raises(Forbidden, match="approver"):
        holder(make("bob", dev="deployer")).remove("dev", "hello", order)
    holder(make("grace", dev="approver")).remove("dev", "hello", order)
    gone(served)
    assert entries(estate, "freeze-overridden") == [("grace", FreezeOverridden("remove", "it leaks"))]


def test_it_takes_who_may_deploy(served: Client, make: Maker, holder: Holder) -> None:  # noqa: F811
    """As aborting and rolling back do; the ledger has the name of the token."""
    with pytest.raises(Forbidden, match="deployer"):
        holder(make("eve", dev="viewer")).remove("dev", "hello", UNUSED)
    with pytest.raises(Forbidden):
        holder(make("eve", production="admin")).remove("dev", "hello", UNUSED)
    assert holder(make("bob", dev="deployer")).remove("dev", "hello", UNUSED).by == "bob"
    gone(served)


def test_nobody_removes_alone_what_takes_two_to_change(
    strict: Estate,  # noqa: F811
    client: Client,
    make: Maker,  # noqa: F811
    holder: Holder,  # noqa: F811
) -> None:
    """Where somebody else has to approve: only past the glass, which everybody hears."""
    ada = holder(make("ada", dev="approver"))
    client.deploy(request(), break_glass="the first")
    until(client, lambda view: view.progress is None)
    with pytest.raises(Forbidden, match="one person alone"):
        ada.remove("dev", "hello", UNUSED)
    ada.remove("dev", "hello", RemovalOrder("x", break_glass="it leaks"))
    gone(client)
    assert ("ada", GlassBroken("remove", "it leaks")) in entries(strict, "glass-broken")


def test_without_a_token_nothing_is_removed(estate: Estate, served: Client) -> None:
    """401."""
    assert httpx.delete(f"{estate.address}/v1/services/hello").status_code == 401
    assert served.service("dev", "hello").removing is None


def test_who_has_seen_another_state_removes_nothing(estate: Estate, served: Client) -> None:
    """412; and a key that is sent twice is answered twice alike, though the service is gone by then."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    address = f"{estate.address}/v1/services/hello?by=ada"
    assert httpx.delete(address, headers={**headers, "if-match": '"stale"'}).json()["error"] == Moved.__name__
    keyed = {**headers, "idempotency-key": "once"}
    first = httpx.delete(address, headers=keyed)
    gone(served)
    second = httpx.delete(address, headers=keyed)
    assert (first.status_code, first.json()) == (second.status_code, second.json()) == (200, first.json())


def test_a_reason_is_one_line(served: Client) -> None:
    """400 for anything else."""
    with pytest.raises(InvalidInput):
        served.remove("dev", "hello", RemovalOrder("ada", "one\ntwo"))


def test_a_removal_under_way_is_shown(estate: Estate, served: Client) -> None:
    """What it waits for stands in the view of the service."""
    estate.fleets.answers = False
    served.remove("dev", "hello", UNUSED)
    view = until(served, lambda view: view.removing is not None and isinstance(view.removing.step, Wait))
    assert view.state == "changing"
    estate.fleets.answers = True
    gone(served)


# ---- the command line ----


@pytest.mark.usefixtures("repository", "estate")
def test_the_command_tells_each_step_and_the_way_back(bleen: Bleen) -> None:
    """Exit code 0 when it is gone; then there is nothing in the status, and a history."""
    assert bleen("deploy", "hello").code == 0
    told = bleen("remove", "hello", "--yes", "--reason", "nobody uses it")
    assert told.code == 0
    *_, done, last = told.out.splitlines()
    assert done == "done: hello is gone from dev; its releases and its history stay"
    assert last.endswith("bleen deploy hello")
    assert "hello" not in bleen("status").out.replace("bleen deploy", "")
    missing = bleen("status", "hello")
    assert missing.code == 2 and "nobody uses it" in missing.err
    rows = bleen("history", "hello").out.splitlines()
    assert "removed: nobody uses it" in rows[1] and "promoted" in rows[2]
    assert bleen("explain", "hello").code == 0
    assert "nobody uses it" in bleen("logs", "hello").err
    assert bleen("remove", "hello", "--yes").code == 2
    assert bleen("deploy", "hello").code == 0


def test_its_images_may_be_pruned_once_it_is_gone_from_everywhere(bleen: Bleen, estate: Estate, repository: Path) -> None:
    """All but the newest; not while another environment has it."""
    for version, env in (("1.0.0", "production"), ("1.0.0", "dev"), ("2.0.0", "dev")):
        write_service(repository, version=version, warm="0s", more=f"hosts: [{env}.localhost]\n")
        assert bleen("deploy", "hello", "--env", env).code == 0
    assert bleen("remove", "hello", "--yes").code == 0
    assert bleen("image", "prune", "--json").json["removed"] == []
    assert bleen("remove", "hello", "--yes", "--env", "production").code == 0
    assert len(bleen("image", "prune", "--json").json["removed"]) == 1
    assert bleen("deploy", "hello").code == 0


@pytest.mark.usefixtures("repository", "estate")
def test_without_a_terminal_it_is_never_removed_unasked(bleen: Bleen) -> None:
    """It does not block: exit code 2, with what to write instead."""
    bleen("deploy", "hello")
    for words in ((), ("--json",)):
        told = bleen("remove", "hello", *words)
        assert told.code == 2 and "bleen remove hello --env dev --yes" in told.out + told.err
    assert bleen("status", "hello").code == 0


@pytest.mark.usefixtures("repository", "estate")
def test_programs_are_told_in_json(bleen: Bleen) -> None:
    """One object, at the end or at once."""
    bleen("deploy", "hello")
    told = bleen("remove", "hello", "--yes", "--json", "--reason", "nobody uses it").json
    assert told["ok"] and told["removal"]["reason"] == "nobody uses it"
    bleen("deploy", "hello")
    assert bleen("remove", "hello", "--yes", "--json", "--detach").json["service"] == "hello"


def test_a_detached_removal_says_how_to_watch_it(bleen: Bleen, estate: Estate, repository: Path) -> None:
    """And the status says what it waits for."""
    write_service(repository, name="other")
    bleen("deploy", "other")
    estate.fleets.answers = False
    told = bleen("remove", "other", "--yes", "--detach", "--reason", "unused")
    assert told.code == 0 and "bleen status other" in told.out
    shown = bleen("status", "other").out
    estate.fleets.answers = True
    assert " removes it, unused: " in shown


@pytest.mark.usefixtures("repository")
def test_a_removal_that_no_gateway_can_carry_out_is_told(bleen: Bleen, estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end, and the service serves on."""
    monkeypatch.setattr(remove, "BEGUN", 0.5)
    bleen("deploy", "hello")
    estate.gateways.always_route = True
    told = bleen("remove", "hello", "--yes")
    assert told.code == 2 and "hello is not removed from dev" in told.err and "still there" in told.err
    assert "done" not in told.out and bleen("status", "hello").code == 0
