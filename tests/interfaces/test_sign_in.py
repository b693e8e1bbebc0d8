"""Signing in with a real OpenID Connect provider: at the console, on the command line, and as a pipeline."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bleen.domain.access import Role
from bleen.domain.command import Pause
from bleen.domain.duration import Duration
from bleen.domain.errors import BleenError, Forbidden, InvalidInput, NotFound
from bleen.domain.issuer import Access, Issuer, RoleRule, SignInClient
from bleen.domain.ledger import Query, TokenMade
from bleen.interfaces.api.guard import KEY
from bleen.interfaces.api.keyring import Keyring, Person
from bleen.interfaces.client import Client
from bleen.interfaces.logins import keep_token, kept_token, logins_file
from bleen.interfaces.platform import Server
from bleen.interfaces.views import TokenOrder
from bleen.providers.envoy.ports import free_port
from bleen.providers.memory.issuers import MemoryIssuers
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.oidc import OidcIssuers
from tests.fixtures.oidc import AUDIENCE, SECRET, Provider, Visitor, provider
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_api import request, settled, until
from tests.interfaces.test_sessions import Browser

PORT = free_port()
BACK = f"http://127.0.0.1:{PORT}/v1/sign-in/callback"
RULES = (
    RoleRule({"dev": Role.DEPLOYER, "production": Role.VIEWER}, {"groups": ("developers",)}),
    RoleRule({"dev": Role.APPROVER}, {"groups": ("platform",)}),
    RoleRule({"dev": Role.DEPLOYER}, {"project_path": ("acme/shop",), "ref_protected": ("true",)}),
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that knows the address of the platform."""
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "secret").write_text(SECRET)
    with provider(folder, [BACK]) as found:
        yield found


def access_to(real: Provider, name: str = "preferred_username") -> Access:
    """Return the access file of the tests."""
    sign_in = SignInClient("bleen", str(real.folder / "secret"))
    people = Issuer(real.issuer, RULES, label="Acme", sign_in=sign_in, audience=AUDIENCE, name=name)
    return Access((people,))


@pytest.fixture
def believing(idle: Estate, real: Provider) -> Estate:
    """A platform that believes the provider."""
    access = access_to(real)
    idle.port = PORT
    idle.believe(access, OidcIssuers(access))
    idle.up()
    return idle


def sign_in(estate: Estate, person: str) -> tuple[Browser, httpx.Response]:
    """Sign ``person`` in with a browser of their own; return it, and what opening a session was answered."""
    browser = Browser(estate.address)
    start = browser.http.get("/v1/sign-in/start")
    assert start.status_code == 303
    back = Visitor(person).sign_in(start.headers["location"], BACK)
    return browser, come_back(browser, back)


def come_back(browser: Browser, place: str) -> httpx.Response:
    """Open the address that the provider sent a browser back to, and the link that it leads to."""
    returned = browser.http.get(place)
    assert returned.status_code == 303
    console, _, code = returned.headers["location"].partition("#code=")
    assert console == "/console/"
    return browser.open(code)


# ---- the console ----


def test_somebody_signs_in_with_the_roles_of_their_groups(believing: Estate) -> None:
    """The browser then holds a session as any other: two halves, and no token of the issuer."""
    assert httpx.get(f"{believing.address}/v1/sign-in").json() == {"label": "Acme"}
    browser, opened = sign_in(believing, "u-1")
    assert (opened.status_code, opened.json()["person"]) == (201, "ada")
    me = browser.ask("GET", "/v1/identity").json()
    assert (me["name"], me["grants"]) == ("ada", {"dev": "approver", "production": "viewer"})
    assert browser.ask("GET", "/v1/services").status_code == 200
    assert browser.ask("GET", "/v1/tokens").status_code == 403
    browser.http.cookies.clear()
    assert browser.ask("GET", "/v1/services").status_code == 401


def test_the_cookie_of_an_errand_is_for_no_script(believing: Estate) -> None:
    """Lax, because it must come along when the issuer sends the browser back; nothing is kept of the answer."""
    start = httpx.get(f"{believing.address}/v1/sign-in/start")
    kept = start.headers["set-cookie"].lower()
    assert all(word in kept for word in ("httponly", "samesite=lax", "path=/v1/sign-in", "max-age=600"))
    assert start.headers["cache-control"] == "no-store"
    assert "code_challenge_method=S256" in start.headers["location"]


def test_the_ledger_says_who_let_them_in(believing: Estate) -> None:
    """As whom the issuer knows them, with which roles, until when."""
    sign_in(believing, "u-2")
    entry = believing.run(believing.ledger.read(Query(kinds=("token-made",))))[-1]
    assert isinstance(entry.event, TokenMade)
    token = entry.event.token
    issuer = believing.providers.access.issuers[0].issuer
    assert (token.name, token.subject, token.by) == ("bob", f"{issuer} u-2", issuer)
    assert (token.expires - token.made).total_seconds() == 12 * 3600


def test_revoking_the_token_ends_the_session(believing: Estate) -> None:
    """An admin can put somebody out at once, as with any token."""
    browser, _ = sign_in(believing, "u-1")
    with Client(believing.server()) as admin:
        admin.revoke_token(admin.tokens().tokens[0].id, "tester")
    answer = browser.ask("GET", "/v1/services")
    assert answer.status_code == 401 and "revoked" in answer.json()["what"]


def test_whom_no_rule_fits_hears_why(believing: Estate) -> None:
    """At the console, by the way of the same code; it opens nothing."""
    browser, opened = sign_in(believing, "u-3")
    assert opened.status_code == 403 and "no rule gives you a role" in opened.json()["what"]
    assert browser.ask("GET", "/v1/services").status_code == 401
    assert believing.run(believing.ledger.read(Query(kinds=("token-made",)))) == ()


def test_a_name_stays_with_whom_it_was_given_to(believing: Estate) -> None:
    """Somebody else of the same name is refused: they could approve, or be blamed for, what the first one did."""
    assert sign_in(believing, "u-1")[1].status_code == 201
    _, refused = sign_in(believing, "u-4")
    assert refused.status_code == 403 and "somebody else's" in refused.json()["what"]
    assert sign_in(believing, "u-1")[1].status_code == 201


def test_a_new_name_at_the_issuer_is_still_the_old_one_here(idle: Estate, real: Provider) -> None:
    """Else who may choose their name there approves their own work here."""
    access = access_to(real)
    idle.port = PORT
    idle.believe(access, OidcIssuers(access))
    idle.up()
    sign_in(idle, "u-1")
    idle.down()
    renamed = access_to(real, name="email")
    idle.believe(renamed, OidcIssuers(renamed))
    idle.up()
    assert sign_in(idle, "u-1")[1].json()["person"] == "ada"


def test_a_browser_comes_back_for_itself_alone(believing: Estate) -> None:
    """With somebody else's code, with no errand, with another state, or a second time."""
    mine, theirs = Browser(believing.address), Browser(believing.address)
    start = mine.http.get("/v1/sign-in/start")
    theirs.http.get("/v1/sign-in/start")
    place = Visitor("u-1").sign_in(start.headers["location"], BACK)
    for browser in (theirs, Browser(believing.address)):
        refused = come_back(browser, place)
        assert refused.status_code == 400 and "counts no longer" in refused.json()["what"]
    assert come_back(mine, place).status_code == 201
    assert come_back(mine, place).status_code == 400
    other = Browser(believing.address)
    start = other.http.get("/v1/sign-in/start")
    place = Visitor("u-1").sign_in(start.headers["location"], BACK)
    assert come_back(other, place.replace("state=", "state=x")).status_code == 400


def test_what_another_issuer_sends_back_is_refused(believing: Estate) -> None:
    """Mix-up: the answer says whose it is (RFC 9207)."""
    browser = Browser(believing.address)
    start = httpx.URL(browser.http.get("/v1/sign-in/start").headers["location"])
    place = f"{BACK}?code=x&state={start.params['state']}&iss=https://evil.example.org"
    refused = come_back(browser, place)
    assert refused.status_code == 400 and "another issuer" in refused.json()["what"]


def test_an_issuer_that_signs_nobody_in_says_so(believing: Estate) -> None:
    """Somebody pressed cancel there; what it says is text, and is short."""
    browser = Browser(believing.address)
    start = httpx.URL(browser.http.get("/v1/sign-in/start").headers["location"])
    refused = come_back(browser, f"{BACK}?error=access_denied&state={start.params['state']}")
    assert refused.status_code == 403 and "access_denied" in refused.json()["why"]


def test_where_nobody_signs_in_there_is_no_way(estate: Estate) -> None:
    """No button, and nothing behind it."""
    assert httpx.get(f"{estate.address}/v1/sign-in").json() == {"label": ""}
    assert httpx.get(f"{estate.address}/v1/sign-in/start").status_code == 404
    with Client(Server(estate.address, "")) as nobody, pytest.raises(NotFound, match="nobody signs in here"):
        nobody.start_login()
    bearer = {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."}
    assert httpx.get(f"{estate.address}/v1/services", headers=bearer).status_code == 401


# ---- pipelines ----


def test_a_program_without_a_name_is_refused(believing: Estate, real: Provider) -> None:
    """An empty name is that of the owner of the home, who may say who they are."""
    token = real.program_token("shop")
    with Client(Server(believing.address, token)) as pipeline, pytest.raises(Forbidden, match="no name for the ledger"):
        pipeline.services("dev")


@pytest.fixture
def pipelines(idle: Estate, real: Provider) -> Estate:
    """A platform that takes tokens of programs, by the path of their project."""
    access = access_to(real, name="project_path")
    idle.believe(access, OidcIssuers(access))
    idle.up()
    return idle


def test_a_pipeline_deploys_under_its_own_name(pipelines: Estate, real: Provider) -> None:
    """Where its rule says so; elsewhere not, and whatever the request says about who it was."""
    with Client(Server(pipelines.address, real.program_token("shop"))) as pipeline:
        pipeline.deploy(request())
        assert until(pipeline, settled).history[0].by == "acme/shop"
        with pytest.raises(Forbidden, match="may not do that in production"):
            pipeline.services("production")
        with pytest.raises(Forbidden, match="is a program"):
            pipeline.link("ada")
        with pytest.raises(BleenError, match="no token to end"):
            pipeline.end_token()


def test_the_pipeline_of_another_project_is_nobody(pipelines: Estate, real: Provider) -> None:
    """The same issuer, the same audience, a good signature, and no rule."""
    with Client(Server(pipelines.address, real.program_token("fork"))) as fork, pytest.raises(Forbidden, match="no rule"):
        fork.command("dev", "hello", Pause("eve"))


def test_a_token_that_does_not_count_is_401(pipelines: Estate, real: Provider) -> None:
    """With why, and how to send one."""
    token = real.program_token("shop")
    answer = httpx.get(f"{pipelines.address}/v1/services", headers={"authorization": f"Bearer {token}x"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "does not count" in answer.json()["what"]


def test_tokens_of_ours_go_on_counting(pipelines: Estate) -> None:
    """Beside those of the issuer."""
    with Client(pipelines.server()) as owner:
        made = owner.make_token(TokenOrder("ada", {"dev": Role.VIEWER}, "tester"))
    with Client(Server(pipelines.address, made.secret)) as ada:
        assert ada.services("dev").services == ()


# ---- the command line ----


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody's own settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def asked(idle: Estate) -> MemoryIssuers:
    """Issuers whose people confirm what the test says; the platform that believes them is up."""
    access = Access((Issuer("https://login.example.org", RULES, label="Acme", sign_in=SignInClient("bleen")),))
    issuers = MemoryIssuers(access)
    idle.believe(access, issuers)
    idle.up()
    return issuers


Typing = tuple[subprocess.Popen[str], str, str]


@contextmanager
def typing_login(estate: Estate, *more: str) -> Iterator[Typing]:
    """Type `bleen login` as a process of its own; yield it, and the address and the code that it printed."""
    command = [sys.executable, "-m", "tests.interfaces.entry", "login", estate.address, *more]
    environ = {**os.environ, "BLEEN_HOME": str(estate.settings.path), "COLUMNS": "200"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        told = process.stderr if "--json" in more else process.stdout
        assert told is not None
        url, code = told.readline().removeprefix("open ").strip(), told.readline().split()[4].strip(",")
        yield process, url, code
        process.kill()


def test_a_command_line_signs_in_with_a_real_provider(believing: Estate, own: Path, bleen: Bleen) -> None:
    """It prints an address and a code, and waits; then it has a token of ours, in a file that nobody else reads."""
    with typing_login(believing) as (process, url, code):
        assert url.endswith(f"user_code={code}")
        assert "Success" in Visitor("u-1").confirm(url)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert out.startswith("signed in as ada: dev=approver, production=viewer, until ")
    assert (logins_file().stat().st_mode & 0o777, logins_file().parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with Client(Server(believing.address, kept_token(believing.address))) as ada:
        assert ada.services("dev").services == ()
        out = bleen("logout", believing.address)
        assert (out.code, out.out) == (0, f"signed out of {believing.address}\n")
        with pytest.raises(InvalidInput, match="revoked"):
            ada.services("dev")
    assert kept_token(believing.address) == ""
    again = bleen("logout", believing.address)
    assert again.code == 3 and "nobody is signed in" in again.err


def test_a_command_line_speaks_to_programs(asked: MemoryIssuers, idle: Estate, own: Path) -> None:
    """With `--json` what to do is on the standard error; the secret is printed nowhere."""
    with typing_login(idle, "--json") as (process, _, code):
        assert asked.asked[-1].code == code
        asked.confirm(asked.asked[-1], "u-2", preferred_username="bob", groups=["developers"])
        out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert (told["server"], told["token"]["name"]) == (idle.address, "bob")
    assert kept_token(idle.address) not in out


def test_a_command_line_hears_no(asked: MemoryIssuers, idle: Estate, own: Path) -> None:
    """And keeps nothing."""
    with typing_login(idle, "--json") as (process, _, _):
        asked.refuse(asked.asked[-1])
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 3 and json.loads(out)["error"]["what"] == "somebody said no to this sign-in"
    assert not logins_file().exists()


def test_a_sign_in_that_nobody_began_is_worth_nothing(asked: MemoryIssuers, idle: Estate) -> None:
    """Nor one that waits, to anybody but who began it."""
    with Client(Server(idle.address, "")) as nobody:
        nobody.start_login()
        for secret in ("", "made-up"):
            with pytest.raises(InvalidInput, match="counts no longer"):
                nobody.claim_login(secret)


def test_two_who_claim_at_once_get_one_token(asked: MemoryIssuers, idle: Estate) -> None:
    """A secret is good once."""
    with Client(Server(idle.address, "")) as client:
        begun = client.start_login()
    asked.confirm(asked.asked[-1], "u-1", preferred_username="ada", groups=["developers"])
    got: list[str] = []

    def claim() -> None:
        with Client(Server(idle.address, "")) as client:
            try:
                got.append(type(client.claim_login(begun.secret)).__name__)
            except BleenError:
                got.append("refused")

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count("LoginDone") == 1
    assert len(idle.run(idle.ledger.read(Query(kinds=("token-made",))))) == 1


def test_an_issuer_that_is_away_is_told_as_that(asked: MemoryIssuers, idle: Estate) -> None:
    """Signing in may be tried again; who is signed in stays so."""
    asked.answers = False
    assert httpx.get(f"{idle.address}/v1/sign-in/start").status_code == 503
    with Client(idle.server()) as owner:
        assert owner.services("dev").services == ()


def test_the_file_of_tokens_keeps_each_servers(own: Path) -> None:
    """Whatever is written of the address; a broken file is said to be one."""
    keep_token("https://a.example.org/", "one")
    keep_token("https://B.example.org", "two")
    assert (kept_token("https://A.example.org"), kept_token("https://b.example.org/")) == ("one", "two")
    keep_token("https://a.example.org", "")
    assert json.loads(logins_file().read_text()) == {"tokens": {"https://b.example.org": "two"}}
    logins_file().write_text("{")
    with pytest.raises(InvalidInput, match=r"logins\.json"):
        kept_token("https://b.example.org")


def test_nothing_of_a_token_is_readable_by_others_while_it_is_written(own: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        keep_token("https://a.example.org", "one")
    finally:
        os.umask(before)
    assert logins_file().stat().st_mode & 0o077 == 0


def test_a_link_that_was_refused_needs_a_page_of_this_server(believing: Estate) -> None:
    """The session's door is the same for all: a foreign page opens none."""
    answer = httpx.post(
        f"{believing.address}/v1/sessions", json={"code": "x"}, headers={"origin": "http://evil.example", KEY: ""}
    )
    assert answer.status_code == 403
    assert TOKEN not in answer.text


async def test_of_two_who_come_at_once_with_one_name_one_gets_it() -> None:
    """However close together they are."""
    keyring = Keyring(MemoryLedger(), "home", lambda: datetime.now(UTC))

    def person(subject: str) -> Person:
        return Person("ada", "https://login.example.org", subject, {"dev": Role.VIEWER})

    come = [keyring.admit(person(f"u-{n % 2}"), Duration.parse("1h")) for n in range(6)]
    got = await asyncio.gather(*come, return_exceptions=True)
    assert [type(one).__name__ for one in got] == ["tuple", "Forbidden"] * 3
