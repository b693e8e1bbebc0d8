"""Who may ask: programs of this machine that hold the token. Browsers on foreign pages hold none, and are told apart."""

import secrets
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from bleen.interfaces.api.faults import refuse

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = frozenset({"/healthz", "/readyz"})


class Guard(ASGIMiddleware):
    """Checks Host and Origin, so that no web page can reach the API by a rebound name, and the bearer token."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, token: str) -> None:
        self._token = token

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        host, origin = connection.headers.get("host", ""), connection.headers.get("origin")
        if _name(f"//{host}") not in _LOCAL:
            await refuse(403, f"the host {host!r} is not this machine", "ask for localhost or 127.0.0.1")(scope, receive, send)
        elif origin is not None and urlsplit(origin).netloc != host:
            await refuse(403, f"pages of {origin} may not ask this API", "ask from a program, or from the console")(
                scope, receive, send
            )
        elif scope["path"] not in _OPEN and not self._known(connection.headers.get("authorization", "")):
            await refuse(401, "the token is missing or wrong", "send 'Authorization: Bearer' and the text of <home>/token")(
                scope, receive, send
            )
        else:
            await next_app(scope, receive, send)

    def _known(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), self._token.encode())


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
