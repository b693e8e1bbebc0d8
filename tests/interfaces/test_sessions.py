"""Browsers that are signed in: what opens a session, what ends it, and what a foreign page cannot do with it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bleen.domain.access import HOME, Role
from bleen.domain.codec import encode
from bleen.domain.duration import Duration
from bleen.domain.errors import InvalidInput
from bleen.domain.ledger import Query
from bleen.interfaces.api.guard import KEY
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.sessions import LASTS, LINK_LASTS, Sessions
from bleen.interfaces.client import Client
from bleen.interfaces.console.pages import FOLDER
from bleen.interfaces.platform import Server
from bleen.interfaces.views import TokenOrder
from bleen.providers.memory.ledger import MemoryLedger
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import TOKEN, Estate

PAUSE = {"type": "pause", "by": "eve"}
COMMANDS = "/v1/services/hello/commands"


class Browser:
    """Keeps cookies, and the page's half of the secret."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, trust_env=False)
        self.address = address
        self.key = ""

    def open(self, code: str, **headers: str) -> httpx.Response:
        """Open a link as the console's page does."""
        answer = self.http.post("/v1/sessions", json={"code": code}, headers={"origin": self.address} | headers)
        if answer.is_success:
            self.key = answer.json()["key"]
        return answer

    def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        """Ask as the console's page does; a header that is empty is left out."""
        body = PAUSE if path == COMMANDS else None
        ours = {KEY: self.key, "origin": self.address, "sec-fetch-site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        sent = {name: value for name, value in ours.items() if value}
        return self.http.request(method, path, json=body, headers=sent)


@pytest.fixture
def browser(estate: Estate, client: Client) -> Iterator[Browser]:
    """A browser that is signed in for the owner of the home, whose name is ada."""
    browser = Browser(estate.address)
    assert browser.open(client.link("ada").code).status_code == 201
    yield browser
    browser.http.close()


def test_a_link_signs_in_once(estate: Estate, client: Client) -> None:
    """The cookie is for no script and no other site; a second browser with the same link stays outside."""
    code = client.link("ada").code
    first, second = Browser(estate.address), Browser(estate.address)
    kept = first.open(code).headers["set-cookie"].lower()
    assert all(word in kept for word in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    assert first.ask("GET", "/v1/identity").json()["name"] == "ada"
    refused = second.open(code)
    assert refused.status_code == 400 and "does not sign in any more" in refused.json()["what"]
    assert second.ask("GET", "/v1/identity").status_code == 401


def test_neither_half_of_the_secret_is_enough(browser: Browser) -> None:
    """A service on another port of the host is sent the cookie by a browser, and can do nothing with it."""
    assert browser.ask("GET", "/v1/services").status_code == 200
    assert browser.ask("GET", "/v1/services", **{KEY: ""}).status_code == 401
    assert browser.ask("GET", "/v1/services", **{KEY: browser.key[:-1]}).status_code == 401
    browser.http.cookies.clear()
    assert browser.ask("GET", "/v1/services").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "", "origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"host": "evil.example"},
    ],
)
def test_a_write_of_another_page_is_refused(browser: Browser, headers: dict[str, str]) -> None:
    """Though the browser sent both halves along."""
    assert browser.ask("POST", COMMANDS).status_code == 409  # nothing is under way: it got that far
    assert browser.ask("POST", COMMANDS, **headers).status_code == 403
    assert browser.open("any", **{name.replace("_", "-"): value for name, value in headers.items()}).status_code in (400, 403)


def test_signing_in_takes_a_page_of_this_server(estate: Estate, client: Client) -> None:
    """Nobody is signed in unawares by a page of elsewhere, and the code is not used up by the attempt."""
    code = client.link("ada").code
    assert Browser(estate.address).open(code, origin="http://evil.example").status_code == 403
    assert httpx.post(f"{estate.address}/v1/sessions", json={"code": code}).status_code == 403
    assert Browser(estate.address).open(code).status_code == 201


def test_signing_out_ends_it(browser: Browser) -> None:
    """At the server, whatever the browser keeps."""
    cookies = dict(browser.http.cookies)
    assert browser.ask("DELETE", "/v1/session").status_code == 204
    browser.http.cookies.update(cookies)
    answer = browser.ask("GET", "/v1/services")
    assert answer.status_code == 401 and "signed out" in answer.json()["what"]


def test_a_browser_signs_no_other_one_in(browser: Browser) -> None:
    """Else twelve hours would have no end."""
    answer = browser.http.post("/v1/links", json={"by": "eve"}, headers={KEY: browser.key, "origin": browser.address})
    assert answer.status_code == 403


def test_a_session_has_the_rights_of_its_token_and_ends_with_it(estate: Estate, client: Client) -> None:
    """A viewer's browser changes nothing; once the token is revoked, it sees nothing either."""
    made = client.make_token(TokenOrder("bob", {"dev": Role.VIEWER}, "tester"))
    with Client(Server(estate.address, made.secret)) as bobs:
        code = bobs.link("somebody else").code
    browser = Browser(estate.address)
    browser.open(code)
    seen = browser.ask("GET", "/v1/identity").json()
    assert (seen["name"], seen["grants"]) == ("bob", {"dev": "viewer"})
    assert browser.ask("POST", COMMANDS).status_code == 403
    client.revoke_token(made.token.id, "tester")
    answer = browser.ask("GET", "/v1/services")
    assert answer.status_code == 401 and "revoked" in answer.json()["what"]


def test_a_link_of_a_revoked_token_opens_nothing(estate: Estate, client: Client) -> None:
    """It was made before the token ended."""
    made = client.make_token(TokenOrder("bob", {"dev": Role.VIEWER}, "tester"))
    with Client(Server(estate.address, made.secret)) as bobs:
        code = bobs.link("bob").code
    client.revoke_token(made.token.id, "tester")
    assert Browser(estate.address).open(code).status_code == 400


def test_the_ledger_says_who_signed_in_and_out(browser: Browser, client: Client) -> None:
    """Among the entries of the audit; both halves of the secret are nowhere in it."""
    browser.ask("DELETE", "/v1/session")
    lines = [line for line in client.audit(by="ada").entries if line.kind.startswith("session")]
    assert [line.kind for line in lines] == ["session-closed", "session-opened"]
    assert browser.key not in encode(lines).decode()


class Clock:
    """Can be set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_a_session_outlives_its_controller_and_not_its_twelve_hours() -> None:
    """Another controller knows it from the ledger; a link is good for five minutes."""
    ledger, clock = MemoryLedger(), Clock()
    one, other = (Sessions(ledger, Keyring(ledger, "home", clock), clock) for _ in range(2))
    late, _ = one.invite(HOME, "ada")
    code, _ = one.invite(HOME, "ada")
    _, cookie, key = await one.open(code)
    assert (await other.identify(cookie, key))[0] is HOME
    clock.now += LINK_LASTS
    with pytest.raises(InvalidInput, match="does not sign in"):
        await one.open(late)
    clock.now += LASTS - LINK_LASTS - timedelta(seconds=1)
    await other.identify(cookie, key)
    clock.now += timedelta(seconds=1)
    with pytest.raises(InvalidInput, match="expired"):
        await other.identify(cookie, key)


async def test_a_session_ends_when_its_token_expires_or_is_replaced() -> None:
    """The one of a token that lasts an hour, and the one of a home whose token was made anew."""
    ledger, clock = MemoryLedger(), Clock()
    keyring = Keyring(ledger, "home", clock)
    sessions = Sessions(ledger, keyring, clock)
    _, secret = await keyring.make("bob", {"dev": Role.VIEWER}, Duration.parse("1h"), "ada")
    _, cookie, key = await sessions.open(sessions.invite(await keyring.identify(secret), "bob")[0])
    _, homes, homes_key = await sessions.open(sessions.invite(HOME, "ada")[0])
    clock.now += timedelta(hours=1)
    with pytest.raises(InvalidInput, match="expired"):
        await sessions.identify(cookie, key)
    await sessions.identify(homes, homes_key)
    anew = Sessions(ledger, Keyring(ledger, "another", clock), clock)
    with pytest.raises(InvalidInput, match="another one now"):
        await anew.identify(homes, homes_key)


async def test_the_ledger_of_a_session_opens_nothing() -> None:
    """What it keeps is a hash of both halves."""
    ledger, clock = MemoryLedger(), Clock()
    sessions = Sessions(ledger, Keyring(ledger, "home", clock), clock)
    session, cookie, key = await sessions.open(sessions.invite(HOME, "ada")[0])
    text = encode(await ledger.read(Query())).decode()
    assert cookie not in text and key not in text
    for wrong in ((session.id, session.digest), (cookie, ""), ("", key), (cookie.upper(), key), (f"{cookie}.{key}", "")):
        with pytest.raises(InvalidInput, match="not signed in"):
            await sessions.identify(*wrong)


# ---- the files ----

FILES = sorted(f"/console/{path.relative_to(FOLDER)}" for path in FOLDER.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["/console", "/console/", *FILES])
def test_the_files_of_the_console_are_guarded(idle: Estate, path: str) -> None:
    """Scripts of its own origin alone, in no frame, with no referrer and no guessing of types."""
    idle.up()
    answer = httpx.get(idle.address + path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize(
    "path",
    [
        "/console/../v1/services",
        "/console/..%2f..%2fpages.py",
        "/console/%2e%2e/pages.py",
        "/console/../../api/server.py",
        "/console//etc/passwd",
        "/console/nothing.js",
        "/consolex",
    ],
)
def test_there_is_no_way_out_of_the_folder(estate: Estate, path: str) -> None:
    """Whatever a path spells, it names a file of the console or nothing."""
    raw = httpx.URL(estate.address).copy_with(raw_path=path.encode())
    answer = httpx.get(raw)
    assert answer.status_code in (401, 404), answer.text
    assert TOKEN not in answer.text and "root:" not in answer.text


def test_the_front_door_leads_to_the_console(estate: Estate) -> None:
    """A browser that is given the address alone."""
    answer = httpx.get(estate.address, follow_redirects=False)
    assert answer.is_redirect and answer.headers["location"] == "/console/"


# ---- the command line ----


def test_the_link_is_printed(estate: Estate, bleen: Bleen) -> None:
    """By `up`, and anew by `console`; it opens the console signed in."""
    printed = bleen("console")
    url = printed.out.splitlines()[0]
    address, _, code = url.partition("/console/#code=")
    assert printed.code == 0 and address == estate.address
    assert Browser(estate.address).open(code).status_code == 201
    line = next(line for line in bleen("up").out.splitlines() if line.startswith("console: "))
    assert Browser(estate.address).open(line.partition("#code=")[2]).status_code == 201
    told = bleen("console", "--json").json
    assert told["url"].startswith(f"{estate.address}/console/#code=") and told["expires"]


def test_without_a_platform_there_is_no_link(bleen: Bleen) -> None:
    """Exit code 3, and what to type."""
    printed = bleen("console")
    assert printed.code == 3 and "bleen up" in printed.err


def test_the_static_folder_is_in_the_package() -> None:
    """Where the wheel takes it from."""
    assert (FOLDER / "index.html").is_file() and FOLDER.is_relative_to(Path(__file__).parents[2] / "src/bleen")
