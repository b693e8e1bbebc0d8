"""Every route of the API, asked by browsers that may not: not signed in, signed out, expired, revoked, of too low a role."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from bleen.domain.access import Role
from bleen.domain.codec import encode
from bleen.interfaces.api import build_api
from bleen.interfaces.api.guard import KEY
from bleen.interfaces.api.sessions import LASTS
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Server
from bleen.interfaces.views import TokenOrder
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_access import BODIES, NAMES, ROUTES, problem, url
from tests.interfaces.test_sessions import Browser


class Later:
    """The time, and what was added to it."""

    def __init__(self) -> None:
        self.more = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.more


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Estate, Later]]:
    """A platform for all routes, whose clock can be set."""
    estate, clock = Estate(tmp_path_factory.mktemp("house")), Later()
    estate.providers = replace(estate.providers, clock=clock)
    estate.api = build_api(estate.providers, TOKEN)
    estate.up()
    yield estate, clock
    estate.down()


@pytest.fixture(scope="module")
def browsers(house: tuple[Estate, Later]) -> dict[str, Browser]:
    """One browser of each kind."""
    estate, clock = house

    def signed_in(role: Role = Role.ADMIN) -> tuple[Browser, str]:
        with Client(estate.server()) as client:
            made = client.make_token(TokenOrder("ada", {"*": role}, "tester"))
        with Client(Server(estate.address, made.secret)) as theirs:
            browser = Browser(estate.address)
            assert browser.open(theirs.link("ada").code).status_code == 201
        return browser, made.token.id

    expired, _ = signed_in()
    clock.more = LASTS
    out, _ = signed_in()
    kept = dict(out.http.cookies)
    assert out.ask("DELETE", "/v1/session").status_code == 204
    out.http.cookies.update(kept)
    revoked, token = signed_in()
    with Client(estate.server()) as client:
        client.revoke_token(token, "tester")
    forged, _ = signed_in()
    forged.key += "x"
    return {"expired": expired, "out": out, "revoked": revoked, "forged": forged} | {r.value: signed_in(r)[0] for r in Role}


SAYS = {"expired": "expired", "out": "signed out", "revoked": "revoked", "forged": "not signed in"}


def ask(browser: Browser, method: str, path: str) -> httpx.Response:
    """Ask as the console's page does."""
    headers = {KEY: browser.key, "origin": browser.address, "sec-fetch-site": "same-origin", "content-type": "application/json"}
    content = encode(BODIES[path]) if path in BODIES else None
    query = {"size": 0} if path.endswith("growth") else {}
    with browser.http.stream(method, url(path), params=query, headers=headers, content=content) as answer:
        if not path.endswith("events") or answer.is_error:  # a stream has no end
            answer.read()
        return answer


@pytest.mark.parametrize(("method", "path", "handler"), ROUTES, ids=NAMES)
def test_every_route_refuses_a_browser_that_may_not(
    browsers: dict[str, Browser], method: str, path: str, handler: HTTPRouteHandler
) -> None:
    """401 says why; 403 for a role that is too low."""
    for kind, words in SAYS.items():
        assert words in problem(ask(browsers[kind], method, path), 401)
    for role in Role:
        if role.rank < handler.opt["needs"].rank:
            assert "may not" in problem(ask(browsers[role], method, path), 403)
