"""The console's files, and the headers that they are sent with."""

from pathlib import Path

from litestar import Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

FOLDER = Path(__file__).parent / "static"
POLICY = "; ".join(
    f"{what} {whom}"
    for what, whom in {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'none'",
    }.items()
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}


@get("/", include_in_schema=False, sync_to_thread=False)
def to_console() -> Redirect:
    """Whoever asks for the server alone means the console."""
    return Redirect("/console/")


def pages() -> list[Router | HTTPRouteHandler]:
    """Return the routes of the console. They need no session: no file of it says anything about a platform."""
    files = create_static_files_router(path="/console", directories=[FOLDER], html_mode=True, after_request=_guarded)
    return [to_console, files]


def _guarded(response: Response[object]) -> Response[object]:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response
