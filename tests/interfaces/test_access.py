"""Who may do what: every route of the API's own table, with every kind of token that it must refuse."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from bleen.domain.access import HOME, Identity, Role, refuse_own_approval
from bleen.domain.codec import encode
from bleen.domain.command import Advance, Pause
from bleen.domain.duration import Duration
from bleen.domain.errors import Forbidden, InvalidInput
from bleen.domain.ledger import GlassBroken, Query
from bleen.domain.service import BlueGreen
from bleen.interfaces.api.guard import is_open
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Server
from bleen.interfaces.problem import MEDIA_TYPE
from bleen.interfaces.views import ScanOrder, TokenOrder
from bleen.providers.memory.ledger import MemoryLedger
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_api import request, settled, until

BODIES: dict[str, object] = {
    "/v1/deployments": request(),
    "/v1/dry-runs": request(),
    "/v1/image-builds": request().wanted,
    "/v1/services/{service:str}/commands": Pause("eve"),
    "/v1/services/{service:str}/rollback": {"by": "eve"},
    "/v1/services/{service:str}/retry": {"by": "eve"},
    "/v1/services/{service:str}/scale": {"by": "eve", "size": 3},
    "/v1/environments/{environment:str}/freeze": {"by": "eve", "reason": "a fair"},
    "/v1/environments/{environment:str}/thaw": {"by": "eve", "reason": "it is over"},
    "/v1/environments/{environment:str}/calendar": {"by": "eve", "calendar": {}},
    "/v1/environments/{environment:str}/notices/trial": {"by": "eve"},
    "/v1/links": {"by": "eve"},
    "/v1/tokens": {"name": "eve", "grants": {"*": "admin"}, "by": "eve"},
}
"""What each route that reads a body is sent: it names the environment dev, or grants everywhere."""
NOWHERE = ("/v1/links",)
"""Reads a body that is about no environment."""
NOT_OURS = ("/schema",)
HTTP = httpx.Client(trust_env=False, verify=False)
"""One for all: a client takes its time to be made."""


def routes() -> list[tuple[str, str, HTTPRouteHandler]]:
    """Return the method, the path and the handler of every route of ours, from the application itself."""
    api = Estate(Path("/nowhere")).api
    return [
        (method, route.path, handler)
        for route in api.routes
        if not route.path.startswith(NOT_OURS)
        for method, handler in _handlers(route)
    ]


def _handlers(route: Any) -> list[tuple[str, HTTPRouteHandler]]:
    return [(m, h) for h in route.route_handlers for m in sorted(h.http_methods) if m not in ("OPTIONS", "HEAD")]


ROUTES = sorted(((m, p, h) for m, p, h in routes() if not is_open(p)), key=lambda route: route[1] == "/v1/token")
"""The one that ends the token that asks comes last."""
NAMES = [f"{method} {path}" for method, path, _ in ROUTES]


def url(path: str) -> str:
    """Return an address of ``path``, whose environment is dev."""
    filled = {"environment": "dev", "service": "hello", "number": "1", "digest": "sha256:0", "sequence": "1", "token": "none"}
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: filled[found[1]], path)


def ask(estate: Estate, method: str, path: str, secret: str = "") -> httpx.Response:
    """Ask a route as whoever holds ``secret``."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {secret}"} if secret else {})
    content = encode(BODIES[path]) if path in BODIES else None
    query = {"size": 0} if path.endswith("growth") else {}
    with HTTP.stream(method, estate.address + url(path), params=query, headers=headers, content=content) as answer:
        if not path.endswith("events") or answer.is_error:  # a stream has no end
            answer.read()
        return answer


Maker = Callable[..., str]


@pytest.fixture
def make(client: Client) -> Maker:
    """Makes a token and returns its secret."""

    def make(name: str = "ada", lasts: str = "1h", **grants: str) -> str:
        roles = {("*" if where == "everywhere" else where): Role(role) for where, role in grants.items()}
        return client.make_token(TokenOrder(name, roles, "tester", Duration.parse(lasts))).secret

    return make


@pytest.fixture
def holder(estate: Estate) -> Iterator[Callable[[str], Client]]:
    """Returns a client with another token."""
    made: list[Client] = []

    def hold(secret: str) -> Client:
        made.append(Client(Server(estate.address, secret)))
        return made[-1]

    yield hold
    for each in made:
        each._http.close()


def problem(answer: httpx.Response, status: int) -> str:
    """Return what a refusal says."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    told = answer.json()
    assert told["what"] and told["next"]
    return str(told["what"])


def test_the_table_is_whole() -> None:
    """The tests below see every route, and every one says who may."""
    assert len(ROUTES) >= 20
    assert [name for name, (_, _, h) in zip(NAMES, ROUTES, strict=True) if not isinstance(h.opt.get("needs"), Role)] == []


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """A platform for all routes: what is refused leaves no trace, and what is not found neither."""
    estate = Estate(tmp_path_factory.mktemp("house"))
    estate.up()
    yield estate
    estate.down()


@pytest.fixture(scope="module")
def held(house: Estate) -> dict[str, str]:
    """A secret of each kind: one for each role everywhere, an admin's elsewhere, and those that count no longer."""
    with Client(house.server()) as client:

        def made(lasts: str = "1h", **grants: Role) -> str:
            roles = {("*" if where == "everywhere" else where): role for where, role in grants.items()}
            return client.make_token(TokenOrder("ada", roles, "tester", Duration.parse(lasts))).secret

        revoked = made(everywhere=Role.ADMIN)
        client.revoke_token(revoked.split("_")[1], "tester")
        roles = {role.value: made(everywhere=role) for role in Role}
        expired = made("1ms", everywhere=Role.ADMIN)
        while client.tokens().tokens[0].state != "expired":
            pass
        return roles | {"revoked": revoked, "elsewhere": made(production=Role.ADMIN), "expired": expired}


@pytest.mark.parametrize(("method", "path", "handler"), ROUTES, ids=NAMES)
def test_every_route_refuses_who_may_not(
    house: Estate, held: dict[str, str], method: str, path: str, handler: HTTPRouteHandler
) -> None:
    """No token, a wrong one, an expired one, a revoked one: 401. A lower role, another environment: 403."""
    assert "token" in problem(ask(house, method, path), 401)
    assert "wrong" in problem(ask(house, method, path, held["admin"] + "x"), 401)
    for state in ("expired", "revoked"):
        assert state in problem(ask(house, method, path, held[state]), 401)
    need: Role = handler.opt["needs"]
    for role in Role:
        if role.rank < need.rank:
            assert "may not" in problem(ask(house, method, path, held[role]), 403)
    if handler.opt["within"] != "any" or (method == "POST" and path in BODIES and path not in NOWHERE):
        assert "may not" in problem(ask(house, method, path, held["elsewhere"]), 403)


@pytest.mark.parametrize(("method", "path", "handler"), ROUTES, ids=NAMES)
def test_every_route_admits_who_may(
    house: Estate, held: dict[str, str], method: str, path: str, handler: HTTPRouteHandler
) -> None:
    """With just the role that it wants; what is not there may be not found."""
    answer = ask(house, method, path, held[handler.opt["needs"]])
    assert answer.status_code not in (401, 403, 500), answer.text


def test_what_spans_environments_shows_only_ones_own(estate: Estate, client: Client, make: Maker) -> None:
    """Rollouts, the audit and its proofs, tokens: nothing of another environment is told."""
    waiting(client, client)
    mine, other = make(dev="admin"), make(production="admin")
    assert len(httpx.get(f"{estate.address}/v1/rollouts", headers={"authorization": f"Bearer {mine}"}).json()["rollouts"]) == 1
    headers = {"authorization": f"Bearer {other}"}
    assert httpx.get(f"{estate.address}/v1/rollouts", headers=headers).json()["rollouts"] == []
    assert httpx.get(f"{estate.address}/v1/audit", headers=headers).status_code == 403
    assert httpx.get(f"{estate.address}/v1/audit?environment=production", headers=headers).json()["entries"] == []
    first = client.audit(environment="dev", limit=1).entries[0].sequence
    assert httpx.get(f"{estate.address}/v1/audit/proofs/{first}", headers=headers).status_code == 403
    listed = httpx.get(f"{estate.address}/v1/tokens", headers=headers).json()["tokens"]
    assert [set(token["grants"]) for token in listed] == [{"production"}]


def test_nobody_grants_more_than_they_have(make: Maker, holder: Callable[[str], Client]) -> None:
    """An admin of dev makes tokens for dev, and revokes no others."""
    admin = holder(make(dev="admin"))
    assert admin.make_token(TokenOrder("bob", {"dev": Role.DEPLOYER}, "x")).token.by == "ada"
    with pytest.raises(Forbidden, match="production"):
        admin.make_token(TokenOrder("bob", {"dev": Role.VIEWER, "production": Role.VIEWER}, "x"))
    with pytest.raises(Forbidden):
        admin.revoke_token(make(everywhere="viewer").split("_")[1], "x")


def test_the_ledger_says_whose_token_it_was(client: Client, make: Maker, holder: Callable[[str], Client]) -> None:
    """Whatever the request says: a name cannot be borrowed."""
    holder(make("ada", dev="deployer")).deploy(request())
    view = until(client, settled)
    assert view.history[0].by == "ada"


def test_a_promotion_takes_an_approver(client: Client, make: Maker, holder: Callable[[str], Client]) -> None:
    """A deployer may pause what waits for a person, and not say yes to it."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    client.deploy(request("2", strategy=BlueGreen(auto_promote=False)))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")
    with pytest.raises(Forbidden, match="approver"):
        holder(make(dev="deployer")).command("dev", "hello", Advance("x"))
    holder(make(dev="approver")).command("dev", "hello", Advance("x"))
    until(client, settled)


def test_a_proxy_may_stand_before_it(idle: Estate) -> None:
    """Under the name that the settings give, and no other."""
    idle.name("bleen.example.org")
    idle.up()
    headers = {"authorization": f"Bearer {TOKEN}"}
    for host, status in (("bleen.example.org", 200), ("BLEEN.example.org:443", 200), ("evil.example.org", 403)):
        assert HTTP.get(f"{idle.address}/v1/images", headers=headers | {"host": host}).status_code == status


# ---- four eyes ----


@pytest.fixture
def strict(idle: Estate) -> Estate:
    """A platform where dev wants two people."""
    idle.watch("dev")
    idle.up()
    return idle


def waiting(client: Client, ada: Client) -> None:
    """Let ada deploy something that waits for a person."""
    ada.deploy(request(strategy=BlueGreen(auto_promote=False)))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")


def test_nobody_approves_their_own(strict: Estate, client: Client, make: Maker, holder: Callable[[str], Client]) -> None:
    """Neither with their token nor with the one of the home, which speaks for nobody; somebody else may."""
    ada, bob = holder(make("ada", dev="admin")), holder(make("bob", dev="approver"))
    waiting(client, ada)
    with pytest.raises(Forbidden, match="somebody else"):
        ada.command("dev", "hello", Advance("bob"))
    with pytest.raises(Forbidden, match="speaks for nobody"):
        client.command("dev", "hello", Advance("bob"))
    bob.command("dev", "hello", Advance("x"))
    until(client, settled)


def test_a_deployment_that_would_ask_nobody_is_refused(strict: Estate, make: Maker, holder: Callable[[str], Client]) -> None:
    """Else the service file of the author would decide whether anybody is asked."""
    ada = holder(make("ada", dev="deployer"))
    for strategy in (BlueGreen(), BlueGreen(auto_promote=False, auto_promote_after=Duration.parse("1s"))):
        with pytest.raises(Forbidden, match="would ask nobody"):
            ada.deploy(request(strategy=strategy))


def test_breaking_the_glass_is_loud(strict: Estate, client: Client, make: Maker, holder: Callable[[str], Client]) -> None:
    """It works, takes the role all the same, stands in the ledger before it is done, and is told."""
    ada = holder(make("ada", dev="approver"))
    waiting(client, ada)
    ada.command("dev", "hello", Advance("x"), break_glass="the shop is down")
    until(client, settled)
    [entry] = strict.run(strict.ledger.read(Query(kinds=("glass-broken",))))
    assert (entry.by, entry.event) == ("ada", GlassBroken("promote", "the shop is down"))
    [notice] = [n for n in strict.notices.told if n.kind == "glass-broken"]
    assert "ada" in notice.what and notice.why == "the shop is down"
    with pytest.raises(Forbidden):
        holder(make("bob", dev="deployer")).command("dev", "hello", Advance("x"), break_glass="me too")


def test_an_author_is_known_by_name() -> None:
    """The rule alone: the author, nobody, somebody else."""
    for who in (HOME, Identity("ada", "1", {"*": Role.ADMIN})):
        with pytest.raises(Forbidden):
            refuse_own_approval(who, "ada", "production")
    refuse_own_approval(Identity("bob", "2", {}), "ada", "production")


# ---- tokens ----


async def test_a_secret_is_nowhere() -> None:
    """The ledger has its hash, and the hash opens nothing."""
    ledger = MemoryLedger()
    keyring = Keyring(ledger, "home", lambda: datetime.now(UTC))
    token, secret = await keyring.make("ada", {"dev": Role.VIEWER}, Duration.parse("1h"), "eve")
    assert secret.split("_", 2)[2] not in encode(await ledger.read(Query())).decode()
    assert (await keyring.identify(secret)).name == "ada"
    for wrong in (token.digest, secret[:-1], secret.upper(), f"bleen_{token.id}_", "", "bleen__", "home "):
        with pytest.raises(InvalidInput):
            await keyring.identify(wrong)


async def test_another_controller_hears_of_a_revocation() -> None:
    """Within a second, without being told."""
    ledger = MemoryLedger()
    one, other = (Keyring(ledger, "home", lambda: datetime.now(UTC)) for _ in range(2))
    token, secret = await one.make("ada", {"dev": Role.VIEWER}, Duration.parse("1h"), "eve")
    assert (await other.identify(secret)).token == token.id
    await one.revoke(token.id, "eve")
    other._recent.looked -= 1.0
    with pytest.raises(InvalidInput, match="revoked"):
        await other.identify(secret)


@pytest.mark.parametrize("lasts", ["0s", "367d"])
async def test_every_token_ends(lasts: str) -> None:
    """Within a year, and after it began."""
    with pytest.raises(InvalidInput, match="cannot last"):
        await Keyring(MemoryLedger(), "h", lambda: datetime.now(UTC)).make(
            "a", {"dev": Role.VIEWER}, Duration.parse(lasts), "e"
        )


def test_tokens_are_typed(estate: Estate, bleen: Bleen) -> None:
    """Made, listed, revoked; wrong ones are refused in words."""
    made = bleen("token", "create", "ada", "--grant", "dev=deployer", "--grant", "production=viewer", "--json").json
    assert made["secret"].startswith(f"bleen_{made['token']['id']}_")
    listed = bleen("token", "list").out
    assert "dev=deployer, production=viewer" in listed and made["secret"] not in listed
    assert bleen("token", "revoke", made["token"]["id"]).code == 0
    assert bleen("token", "list", "--json").json["tokens"][0]["state"] == "revoked"
    for words in (["a b", "--grant", "dev=viewer"], ["ada", "--grant", "dev"], ["ada", "--grant", "dev=king"]):
        assert bleen("token", "create", *words).code == 2
    assert bleen("token", "create", "ada", "--grant", "dev=viewer", "--expires", "soon").code == 2
    assert bleen("token", "revoke", "nobody").code == 2


def test_who_answers_for_findings_of_an_environment_is_for_its_viewers(
    client: Client, make: Maker, holder: Callable[[str], Client]
) -> None:
    """A scan without a policy goes by that environment's last judgement: its waivers have names and reasons in them."""
    client.deploy(request())
    digest = client.images().images[0].digest
    asker = holder(make(dev="viewer"))
    assert asker.scan(digest, ScanOrder("dev")).judgement.environment == "dev"
    with pytest.raises(Forbidden):
        asker.scan(digest, ScanOrder("production"))
