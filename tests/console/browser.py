"""Debian's Chromium, and a page that fails its test for whatever a browser complains of."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE = 30_000
"""Milliseconds in which a page shows what is waited for."""
SERIOUS = ("serious", "critical")
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
"""No other host is found. The browser sees to it itself: a request that Python has to let pass waits until Python looks."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", NOWHERE]
        )
        yield browser
        browser.close()


class Seat:
    """Somebody at a browser, and what the browser complained of."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.context.on("request", self._request)

    def go(self, place: str) -> None:
        """Open a place of the console: ``/services/hello``."""
        self.page.goto(f"{self.address}/console/#{place}")

    def sign_in(self, code: str) -> None:
        """Open the link that the command line prints."""
        self.page.goto(f"{self.address}/console/#code={code}")
        self.page.get_by_role("navigation", name="Rooms").wait_for()

    def see(self, text: str, *, exact: bool = False) -> None:
        """Wait until ``text`` is seen."""
        self.page.get_by_text(text, exact=exact).first.wait_for()

    def press(self, name: str) -> None:
        """Press a button, and then the one of the question that follows."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()

    def is_good(self) -> None:
        """Find nothing to complain of: for those who cannot see, on either ground, nor sideways."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            found = [v for v in Axe().run(self.page).response["violations"] if v["impact"] in SERIOUS]
            told = [(v["id"], v["help"], [node["html"][:160] for node in v["nodes"][:3]]) for v in found]
            assert told == [], f"{self.page.url}, {scheme}"
        width = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, f"{self.page.url} is {width} px too wide"
        self.is_quiet()

    def is_quiet(self) -> None:
        """No script failed, no policy was broken, and no other host was asked."""
        assert (self.complaints, self.elsewhere) == ([], []), f"{self.complaints} {self.elsewhere}"

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.address).netloc:
            self.elsewhere.append(request.url)


@contextmanager
def seat(browser: Browser, address: str, size: dict[str, int]) -> Iterator[Seat]:
    """Somebody sits down at a browser of that size; at the end, nothing may have been complained of."""
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]
    try:
        taken = Seat(context.new_page(), address)
        yield taken
        taken.is_quiet()
    finally:
        context.close()
