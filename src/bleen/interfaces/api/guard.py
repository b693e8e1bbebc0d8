"""The door: programs that hold a token, and pages of this server in a browser that is signed in, for the name of this server.

Which role a route wants, and where, stands at the route; `authorise` refuses one that says nothing.
"""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from bleen.domain.access import ANYWHERE, Identity, Role, Session
from bleen.domain.errors import BleenError, Forbidden, InvalidInput
from bleen.interfaces.api.faults import refuse, refuse_for
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.sessions import Sessions

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/healthz", "/readyz", "/v1/sessions", "/", "/console"})
_PAGES = "/console/"
KEY = "x-bleen-key"
"""The header with the page's half of a session's secret."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_SCHEMA = "/schema"
_IDENTITY = "identity"
_SESSION = "session"

AnyConnection = ASGIConnection[Any, Any, Any, Any]
Asker = NamedDependency[Identity]
"""Who asks, as a route wants to know."""


class Guard(ASGIMiddleware):
    """Checks Host and Origin, so that no web page can reach the API by a rebound name, and who asks."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, keyring: Keyring, sessions: Sessions, hosts: tuple[str, ...] = ()) -> None:
        self._keyring = keyring
        self._sessions = sessions
        self._hosts = _LOCAL | {host.lower() for host in hosts}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: AnyConnection = ASGIConnection(scope)
        host, origin = connection.headers.get("host", ""), connection.headers.get("origin")
        if _name(f"//{host}") not in self._hosts:
            await refuse(403, f"the host {host!r} is not this machine", "ask for localhost or 127.0.0.1")(scope, receive, send)
        elif origin is not None and urlsplit(origin).netloc != host:
            await refuse(403, f"pages of {origin} may not ask this API", "ask from a program, or from the console")(
                scope, receive, send
            )
        elif not _of_its_own_page(connection):
            next = "ask from the console, or from a program with a token"
            await refuse(403, "this write comes from no page of the console", next)(scope, receive, send)
        elif is_open(scope["path"]):
            await next_app(scope, receive, send)
        else:
            await self._admit(connection, receive, send, next_app)

    async def _admit(self, connection: AnyConnection, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        state = connection.scope.setdefault("state", {})
        try:
            state[_IDENTITY], state[_SESSION] = await self._recognise(connection)
        except InvalidInput as error:
            await refuse(401, error.what, error.next, error.why)(connection.scope, receive, send)
        except BleenError as error:
            await refuse_for(error)(connection.scope, receive, send)
        else:
            await next_app(connection.scope, receive, send)

    async def _recognise(self, connection: AnyConnection) -> tuple[Identity, Session | None]:
        cookie = connection.cookies.get(cookie_name(connection))
        if cookie and "authorization" not in connection.headers:
            return await self._sessions.identify(cookie, connection.headers.get(KEY, ""))
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        return await self._keyring.identify(token.strip() if scheme.lower() == "bearer" else ""), None


def asker(request: Request[Any, Any, Any]) -> Identity:
    """Return who asks."""
    identity: Identity = request.scope["state"][_IDENTITY]
    return identity


def session_of(request: AnyConnection) -> Session | None:
    """Return the session that asks; None where a token does."""
    session: Session | None = request.scope["state"][_SESSION]
    return session


def cookie_name(connection: AnyConnection) -> str:
    """Return the name of the session's cookie: cookies know no ports, and two platforms may share a host."""
    return f"bleen_{_port(connection.headers.get('host', ''))}"


def is_open(path: str) -> bool:
    """Return whether ``path`` says nothing that is worth a token: signs of life, and the files of the console."""
    return path in OPEN or path.startswith(_PAGES)


async def authorise(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Refuse whoever has not the role that the route ``needs``, where it is ``within``: Forbidden.

    ``within`` is ``"environment"``: the one in the path or the query, or the platform's own; ``"any"``: somewhere, and the
    route looks closer; ``"body"``: the route checks the one that the body names. A route that says nothing is nobody's.
    """
    path = connection.scope["path"]
    if is_open(path):
        return
    identity: Identity = connection.scope["state"][_IDENTITY]
    need, within = handler.opt.get("needs"), handler.opt.get("within")
    if path.startswith(_SCHEMA):
        need, within = Role.VIEWER, "any"
    if need is None or within not in ("environment", "any", "body"):
        raise Forbidden(f"{path} is open to nobody", why="its route says no role", next="please report it")
    if within == "environment":
        identity.check(need, _environment(connection))
    elif not identity.may_somewhere(need):
        identity.check(need, ANYWHERE)


def _environment(connection: AnyConnection) -> str:
    asked = connection.path_params.get("environment") or connection.query_params.get("environment")
    return str(asked or connection.app.state["environment"])


def _of_its_own_page(connection: AnyConnection) -> bool:
    """Return whether this is no write of a browser, or one of a page of this very server.

    A token is sent by no browser on its own; a cookie is, and whoever signs in has neither.
    """
    if connection.scope.get("method") in _READS or "authorization" in connection.headers:
        return True
    if cookie_name(connection) not in connection.cookies and not is_open(connection.scope["path"]):
        return True  # nobody: refused as that
    site = connection.headers.get("sec-fetch-site")
    return site == "same-origin" if site is not None else "origin" in connection.headers


def _port(host: str) -> str:
    try:
        return str(urlsplit(f"//{host}").port or "")
    except ValueError:
        return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
