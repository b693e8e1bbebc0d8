"""Who asks too often: refused with how long to wait, and nobody else with them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from bleen.domain.access import HOME, Identity, Role
from bleen.domain.allowance import Allowance
from bleen.domain.errors import InvalidInput, TooOften
from bleen.interfaces.api import build_api
from bleen.interfaces.api.limits import _MOST, Limits
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Server
from bleen.interfaces.problem import MEDIA_TYPE
from bleen.interfaces.views import TokenOrder
from bleen.settings import read_settings
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_sessions import Browser

SLOW = Allowance(0.001, 5)
"""Five requests, and then none for as long as a test takes."""


@pytest.fixture
def strict(idle: Estate) -> Estate:
    """A platform where nobody may ask often; a proxy stands before it as bleen.example.org."""
    idle.providers = replace(idle.providers, rate=SLOW, strangers_rate=SLOW, hosts=("bleen.example.org",))
    idle.api = build_api(idle.providers, TOKEN)
    idle.up()
    return idle


@pytest.fixture
def asks(strict: Estate) -> Iterator[Callable[..., httpx.Response]]:
    """Asks as whoever holds a token."""
    with httpx.Client(base_url=strict.address, trust_env=False) as http:

        def ask(token: str, path: str = "/v1/identity", **headers: str) -> httpx.Response:
            bearer = {"authorization": f"Bearer {token}"} if token else {}
            return http.get(path, headers=bearer | {name.replace("_", "-"): value for name, value in headers.items()})

        yield ask


Asks = Callable[..., httpx.Response]


def made(estate: Estate, name: str = "ada") -> str:
    """Return the secret of a new token."""
    with Client(estate.server()) as owner:
        return owner.make_token(TokenOrder(name, {"dev": Role.VIEWER}, "tester")).secret


def test_a_token_that_asks_too_often_is_told_how_long_to_wait(strict: Estate, asks: Asks) -> None:
    """429 and Retry-After, as a problem; another token is not held up by it."""
    ada, bob = made(strict), made(strict, "bob")
    assert [asks(ada).status_code for _ in range(5)] == [200] * 5
    refused = asks(ada)
    assert (refused.status_code, refused.headers["content-type"]) == (429, MEDIA_TYPE)
    assert 900 <= int(refused.headers["retry-after"]) <= 1000
    assert refused.json()["what"] == "ada asks too often" and "at once" in refused.json()["why"]
    assert asks(bob).status_code == 200


def test_the_command_line_hears_of_it(strict: Estate) -> None:
    """As an error that may pass."""
    with Client(Server(strict.address, made(strict))) as ada:
        for _ in range(5):
            ada.services("dev")
        with pytest.raises(TooOften, match="asks too often"):
            ada.services("dev")


def test_the_owner_is_never_refused(strict: Estate, asks: Asks) -> None:
    """Whoever has the token of the home owns the platform, limits included; a browser of theirs is one of many."""
    assert {asks(TOKEN).status_code for _ in range(20)} == {200}
    with Client(strict.server()) as owner:
        browser = Browser(strict.address)
        browser.open(owner.link("ada").code)
    assert [browser.ask("GET", "/v1/identity").status_code for _ in range(6)] == [200] * 5 + [429]


def test_who_guesses_tokens_is_not_answered_for_long(strict: Estate, asks: Asks) -> None:
    """Wrong ones count by address; a right one from there is still let in."""
    ada = made(strict)
    assert [asks(f"bleen_{n}_wrong").status_code for n in range(6)] == [401] * 5 + [429]
    assert asks(ada).status_code == 200


def test_what_is_open_to_anybody_is_not_so_without_end(strict: Estate, asks: Asks) -> None:
    """Signs of life and the console's files are."""
    assert [asks("", "/v1/sign-in").status_code for _ in range(6)] == [200] * 5 + [429]
    for path in ("/healthz", "/console/", "/console/app.js"):
        assert {asks("", path).status_code for _ in range(8)} == {200}


def test_behind_a_proxy_the_address_is_what_the_proxy_says(strict: Estate, asks: Asks) -> None:
    """What it adds last; what a client wrote before that changes nothing, nor what one writes who came by no proxy."""
    for first in range(5):
        told = f"10.9.9.{first}, 203.0.113.7"
        assert asks("", "/v1/sign-in", host="bleen.example.org", x_forwarded_for=told).status_code == 200
    assert asks("", "/v1/sign-in", host="bleen.example.org", x_forwarded_for="203.0.113.7").status_code == 429
    assert asks("", "/v1/sign-in", host="bleen.example.org", x_forwarded_for="203.0.113.8").status_code == 200
    codes = [asks("", "/v1/sign-in", x_forwarded_for=f"203.0.113.{n}").status_code for n in range(6)]
    assert codes == [200] * 5 + [429]


def test_pipelines_of_one_name_count_together() -> None:
    """Each job has a token of its own."""
    limits = Limits(SLOW, SLOW, clock=lambda: 0.0)
    for _ in range(5):
        limits.known(Identity("acme/shop", "", {}), None)
    with pytest.raises(TooOften):
        limits.known(Identity("acme/shop", "", {}), None)
    limits.known(Identity("acme/other", "", {}), None)
    limits.known(HOME, None)


def test_what_is_remembered_has_an_end() -> None:
    """Whoever comes from everywhere at once fills no memory."""
    limits = Limits(SLOW, SLOW, clock=lambda: 0.0)
    for n in range(_MOST + 100):
        limits.stranger(str(n))
    assert len(limits._strangers._due) == _MOST


def test_without_limits_nobody_is_counted() -> None:
    """``off``."""
    limits = Limits(None, None)
    for _ in range(1000):
        limits.stranger("a")


@pytest.mark.parametrize(
    ("text", "found"),
    [("100/400", Allowance(100, 400)), ("0.5/10", Allowance(0.5, 10)), ("20", Allowance(20, 20)), ("off", None)],
)
def test_a_rate_is_read(text: str, found: Allowance | None) -> None:
    """A rate and a burst, or none."""
    assert read_settings({"BLEEN_API_RATE": text}).rate == found


@pytest.mark.parametrize("text", ["fast", "0", "-1/5", "10/0", "/10", "nan", "inf/inf", "10/20/30"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(InvalidInput, match="BLEEN_API_RATE="):
        read_settings({"BLEEN_API_RATE": text})
