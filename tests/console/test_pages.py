"""The console's pages over a platform in memory: signing in, 200 services, roles, keys, and text that is only text."""

import httpx
import pytest
from msgspec import structs

from bleen.domain.access import Role
from bleen.domain.duration import seconds
from bleen.domain.finding import Finding, Severity
from bleen.domain.image import Directory
from bleen.domain.policy import Policy, Waiver
from bleen.domain.release import Runtime
from bleen.domain.service import BlueGreen, Service
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Server
from bleen.interfaces.views import TokenOrder
from bleen.workflows.messages import DeployRequest
from tests.console.browser import Seat
from tests.interfaces.estate import Estate
from tests.interfaces.test_api import COMMAND, request, settled, until
from tests.interfaces.test_overview import waiting

NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def client(estate: Estate) -> Client:
    """A client of the owner of the home."""
    return Client(estate.server())


def first(client: Client, name: str, version: str = "1.0.0", by: str = "tester") -> None:
    """Deploy the first release of ``name``."""
    image = Directory(path=".", version=version)
    spec = Service(service=name, image=image, command=COMMAND, strategy=BlueGreen(warm=seconds(0)))
    client.deploy(DeployRequest("dev", spec, Runtime(command=COMMAND, env={"NAME": name}), request().folder, by))


# ---- the door ----


def test_without_a_session_it_says_how_to_sign_in(seated: Seat) -> None:
    """And nothing else."""
    seated.go("/")
    seated.see("bleen console")
    assert not seated.page.get_by_role("navigation").count()
    seated.is_good()


def test_a_link_signs_in_and_leaves_the_address(seated: Seat, client: Client) -> None:
    """The code is in no address and no history; a reload stays signed in; a second use says what to do."""
    code = client.link("ada").code
    seated.sign_in(code)
    assert "code" not in seated.page.url
    seated.page.reload()
    seated.page.get_by_role("navigation", name="Rooms").wait_for()
    seated.see("ada")
    seated.page.get_by_role("button", name="Sign out").click()
    seated.see("This browser is not signed in")
    seated.page.goto("about:blank")
    seated.page.goto(f"{seated.address}/console/#code={code}")
    seated.see("does not sign in any more")
    # Chromium tells every answer that is a refusal: that of the second use, and of what was asked while the session ended.
    seated.complaints = [told for told in seated.complaints if not told.startswith("Failed to load resource")]


def test_a_session_that_was_ended_leads_to_the_door(seated: Seat, client: Client) -> None:
    """Its token was revoked."""
    made = client.make_token(TokenOrder("bob", {"dev": Role.VIEWER}, "tester"))
    with Client(Server(seated.address, made.secret)) as bobs:
        seated.sign_in(bobs.link("bob").code)
    client.revoke_token(made.token.id, "tester")
    seated.page.reload()
    seated.see("This browser is not signed in")
    seated.complaints = [told for told in seated.complaints if "401" not in told]


# ---- services ----


def test_two_hundred_services_are_pleasant(seated: Seat, client: Client) -> None:
    """A row each; the filter takes names, states and versions; nothing overflows."""
    for number in range(200):
        first(client, f"service-{number:03}", f"1.{number}.0")
    seated.sign_in(client.link("ada").code)
    rows = seated.page.locator("li.row")
    rows.nth(199).wait_for(state="attached")
    assert rows.count() == 200
    seated.page.keyboard.press("/")
    seated.page.keyboard.type("service-04 serving")
    seated.page.wait_for_function("document.querySelectorAll('li.row').length === 10")
    seated.page.get_by_label("Filter services").fill("1.137.0")
    seated.page.wait_for_function("document.querySelectorAll('li.row').length === 1")
    seated.page.get_by_label("Filter services").fill("nothing of the kind")
    seated.see("No service matches")
    seated.page.get_by_label("Filter services").fill("")
    seated.is_good()


def test_what_changes_is_seen_without_a_reload(seated: Seat, client: Client) -> None:
    """A service that is deployed while one looks comes by itself."""
    seated.sign_in(client.link("ada").code)
    seated.see("Nothing is deployed here yet")
    first(client, "comes-by-itself", "7.7.7")
    seated.see("comes-by-itself")
    seated.see("7.7.7")


def test_text_is_text(seated: Seat, client: Client) -> None:
    """Markup in a version and in a name is shown as it was written, and nothing of it runs."""
    first(client, "hello", NASTY, by=NASTY)
    until(client, settled)
    seated.sign_in(client.link(NASTY[:64]).code)
    for place in ("/", "/services/hello", "/services/hello/history/1", "/images", "/audit"):
        seated.go(place)
        seated.see("<img src=x onerror=alert(1)>")
    assert seated.page.locator("img[src=x]").count() == 0
    seated.is_quiet()


# ---- a service ----


def test_the_keyboard_approves(seated: Seat, client: Client) -> None:
    """From the list to the question and through it, without a mouse; Escape asks nothing of the platform."""
    waiting(client)
    seated.sign_in(client.link("ada").code)
    seated.page.get_by_role("link", name="hello", exact=True).focus()
    seated.page.keyboard.press("Enter")
    approve = seated.page.get_by_role("button", name="Approve")
    approve.wait_for()
    seated.is_good()
    approve.focus()
    seated.page.keyboard.press("Enter")
    seated.page.get_by_role("dialog").wait_for()
    seated.is_good()
    seated.page.keyboard.press("Escape")
    seated.page.get_by_role("dialog").wait_for(state="detached")
    assert client.service("dev", "hello").progress is not None
    approve.focus()
    seated.page.keyboard.press("Enter")
    seated.page.get_by_role("dialog").get_by_role("button", name="Approve").focus()
    seated.page.keyboard.press("Enter")
    until(client, settled)
    seated.see("r2 2")
    [said] = [line for line in client.audit(service="hello").entries if line.kind == "commanded"]
    assert said.by == "ada"


def test_only_what_one_may_is_offered(seated: Seat, client: Client) -> None:
    """A viewer sees why it waits, and no button; whoever asks the API all the same is refused."""
    waiting(client)
    made = client.make_token(TokenOrder("vera", {"dev": Role.VIEWER}, "tester"))
    with Client(Server(seated.address, made.secret)) as veras:
        seated.sign_in(veras.link("vera").code)
    seated.go("/services/hello")
    seated.see("Switch hello to r2")
    assert seated.page.locator(".acts button").count() == 0
    status = seated.page.evaluate(
        """async () => (await fetch("/v1/services/hello/commands", {method: "POST", body: '{"type": "pause", "by": "vera"}',
           headers: {"content-type": "application/json", "x-bleen-key": localStorage.getItem("bleen-key")}})).status"""
    )
    assert status == 403
    seated.complaints = [told for told in seated.complaints if "403" not in told]


def test_every_page_is_good(seated: Seat, client: Client) -> None:
    """For screen readers, on both grounds, at both widths."""
    waiting(client)
    image = client.images().images[0].digest
    seated.sign_in(client.link("ada").code)
    places = {
        "/services/hello": "Steps",
        "/services/hello/history/1": "launch blue r1",
        "/services/hello/logs": "Instance",
        "/images": "Age of patches",
        f"/images/{image}": "Layers",
        "/audit": "made r1",
    }
    for place, words in places.items():
        seated.go(place)
        seated.see(words)
        seated.page.wait_for_timeout(300)
        seated.is_good()


def test_an_image_is_judged_as_its_last_release_was(estate: Estate, seated: Seat, client: Client) -> None:
    """Who answers for which finding, until when and why; what blocks; and whether it may be released as it is."""
    hole, leak = (
        Finding("CVE-2026-1", Severity.CRITICAL, "a hole", "libfoo"),
        Finding("CVE-2026-2", Severity.LOW, "a leak", "libbar"),
    )
    estate.scanner.find("1", hole, leak)
    waiver = Waiver("CVE-2026-1", "ann@example.org", "not reachable", "2099-01-31")
    client.deploy(structs.replace(request(), policy=Policy(waivers=(waiver,))))
    until(client, settled)
    seated.sign_in(client.link("ada").code)
    seated.go(f"/images/{client.images().images[0].digest}")
    seated.see("waived by ann@example.org until 2099-01-31")
    seated.see("not reachable")
    seated.see("It may be released")
    seated.is_good()


def test_what_blocks_an_image_is_said(estate: Estate, seated: Seat, client: Client) -> None:
    """Found after it was released, with nobody who answers for it."""
    client.deploy(request())
    until(client, settled)
    estate.scanner.find("1", Finding("CVE-2026-1", Severity.CRITICAL, "a hole", "libfoo", fix="use libfoo 1.1"))
    seated.sign_in(client.link("ada").code)
    seated.go(f"/images/{client.images().images[0].digest}")
    seated.see("1 finding would keep it")
    seated.see("blocks")
    seated.is_good()


def test_a_service_is_removed_with_a_reason(seated: Seat, client: Client) -> None:
    """After a question; its page says then who removed it and why, and so does its history once it is back."""
    first(client, "hello")
    until(client, lambda view: view.progress is None and settled(view))
    seated.sign_in(client.link("ada").code)
    seated.go("/services/hello")
    seated.page.get_by_role("button", name="Remove").click()
    seated.see("Releases and history stay")
    seated.page.get_by_label("Why, for the history").fill("nobody uses it")
    seated.is_good()
    seated.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    seated.see("there is no service hello in dev any more")
    seated.see("nobody uses it")
    first(client, "hello", "1.0.1")
    seated.go("/")
    seated.go("/services/hello")
    seated.see("Removed by ada")
    assert seated.page.get_by_role("button", name="Roll back").count() == 0
    seated.complaints = [told for told in seated.complaints if "404" not in told]


def test_the_log_is_proved_on_demand(seated: Seat, client: Client) -> None:
    """The audit says how many entries were proved."""
    waiting(client)
    seated.sign_in(client.link("ada").code)
    seated.go("/audit")
    seated.page.get_by_role("button", name="Verify the log").click()
    seated.see("nothing changed, removed or reordered")


def test_an_unknown_service_is_told_as_that(seated: Seat, client: Client) -> None:
    """In the words of the command line, with what to do next."""
    seated.sign_in(client.link("ada").code)
    seated.go("/services/nobody")
    seated.see("there is no service nobody in dev")
    seated.complaints = [told for told in seated.complaints if "404" not in told]


def test_a_page_of_another_port_has_the_cookie_and_nothing_else(seated: Seat, client: Client) -> None:
    """What the cookie alone is worth: as a service on another port of the same host would send it on."""
    seated.sign_in(client.link("ada").code)
    [cookie] = seated.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    answer = httpx.get(f"{seated.address}/v1/services", headers={"cookie": f"{cookie['name']}={cookie['value']}"})
    assert answer.status_code == 401
    assert seated.page.evaluate("document.cookie") == ""
