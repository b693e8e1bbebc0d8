"""Signing in at the console with a real OpenID Connect provider, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from bleen.providers.oidc import OidcIssuers
from tests.console.browser import NARROW, WIDE, Seat, seat
from tests.fixtures.oidc import SECRET, Provider, provider
from tests.interfaces.estate import Estate
from tests.interfaces.test_sign_in import BACK, PORT, access_to


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that knows the address of the platform."""
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "secret").write_text(SECRET)
    with provider(folder, [BACK]) as found:
        yield found


@pytest.fixture
def believing(tmp_path: Path, real: Provider) -> Iterator[Estate]:
    """A platform that believes the provider."""
    estate, access = Estate(tmp_path / "home"), access_to(real)
    estate.port = PORT
    estate.believe(access, OidcIssuers(access))
    estate.up()
    yield estate
    estate.down()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that nobody is signed in with, and that may ask the provider, too."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def sign_in(page: Page, estate: Estate, person: str) -> None:
    """Press the button, and fill in the form of the provider."""
    page.goto(f"{estate.address}/console/")
    page.get_by_role("link", name="Sign in with Acme").click()
    page.get_by_placeholder("Enter any login").fill(person)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()


def test_the_button_signs_in(page: Page, believing: Estate) -> None:
    """It leads to the issuer and back; no code stays in the address, and the session is as any other."""
    sign_in(page, believing, "u-1")
    page.get_by_role("navigation", name="Rooms").wait_for()
    assert page.get_by_text("ada").first.is_visible()
    assert "code" not in page.url and urlsplit(page.url).netloc == urlsplit(believing.address).netloc
    page.reload()
    page.get_by_role("navigation", name="Rooms").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in with Acme").wait_for()


def test_whom_no_rule_fits_reads_why(page: Page, believing: Estate) -> None:
    """On the page of the console, with the button to try again as somebody else."""
    sign_in(page, believing, "u-3")
    page.get_by_text("no rule gives you a role").wait_for()
    page.get_by_role("link", name="Sign in with Acme").wait_for()


def test_the_button_is_there_only_where_it_leads_somewhere(seated: Seat) -> None:
    """Without an access file, there is the link of the command line alone."""
    seated.go("/")
    seated.see("bleen console")
    assert not seated.page.get_by_role("link").count()
    seated.is_good()


def test_the_button_is_good_for_everybody(browser: Browser, believing: Estate) -> None:
    """For those who cannot see, on either ground, on a phone."""
    with seat(browser, believing.address, NARROW) as taken:
        taken.go("/")
        taken.page.get_by_role("link", name="Sign in with Acme").wait_for()
        taken.is_good()
