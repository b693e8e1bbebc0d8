"""The door: programs that hold a token, and pages of this server in a browser that is signed in, for the name of this server.

Which role a route wants, and where, stands at the route; `authorise` refuses one that says nothing.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from bleen.domain.access import ANYWHERE, Identity, Role, Session
from bleen.domain.errors import BleenError, Forbidden, InvalidInput, TooOften
from bleen.interfaces.api.admitted import StillAdmitted
from bleen.interfaces.api.entrance import Entrance
from bleen.interfaces.api.faults import refuse, refuse_for
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.limits import Limits
from bleen.interfaces.api.sessions import Sessions

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
PROGRAMS = frozenset({"/v1/logins", "/v1/logins/claim"})
"""Writes that need no token, and do nothing for a browser: their answers are worth something to whoever reads them alone."""
_SIGN_IN = frozenset({"/v1/sessions", "/v1/sign-in", "/v1/sign-in/start", "/v1/sign-in/callback"})
UNLIMITED = frozenset({"/healthz", "/readyz", "/", "/console"})
"""Signs of life, which are asked for by watchers, and where the console is."""
OPEN = UNLIMITED | _SIGN_IN | PROGRAMS
_PAGES = "/console/"
KEY = "x-bleen-key"
"""The header with the page's half of a session's secret."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_SCHEMA = "/schema"
_IDENTITY = "identity"
_SESSION = "session"
_STILL = "still"

AnyConnection = ASGIConnection[Any, Any, Any, Any]
Asker = NamedDependency[Identity]
"""Who asks, as a route wants to know."""


@dataclass(frozen=True)
class Rolls:
    """Who is known at the door, and how often they may come."""

    keyring: Keyring
    sessions: Sessions
    entrance: Entrance
    limits: Limits


class Guard(ASGIMiddleware):
    """Checks Host and Origin, so that no web page can reach the API by a rebound name, and who asks."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, rolls: Rolls, hosts: tuple[str, ...] = ()) -> None:
        self._keyring = rolls.keyring
        self._limits = rolls.limits
        self._proxied = frozenset(host.lower() for host in hosts)
        self._entrance = rolls.entrance
        self._sessions = rolls.sessions
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
        elif scope["path"] in UNLIMITED or scope["path"].startswith(_PAGES):
            await next_app(scope, receive, send)
        elif is_open(scope["path"]):
            await self._admit_stranger(connection, receive, send, next_app)
        else:
            await self._admit(connection, receive, send, next_app)

    async def _admit(self, connection: AnyConnection, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        state = connection.scope.setdefault("state", {})
        try:
            who, session = state[_IDENTITY], state[_SESSION] = await self._recognise(connection)
            state[_STILL] = partial(self._recognise, connection)
            self._limits.known(who, session)
        except InvalidInput as error:
            await self._refuse_stranger(connection, error)(connection.scope, receive, send)
        except BleenError as error:
            await refuse_for(error)(connection.scope, receive, send)
        else:
            await next_app(connection.scope, receive, send)

    async def _admit_stranger(self, connection: AnyConnection, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        try:
            self._limits.stranger(self._address(connection))
        except TooOften as error:
            await refuse_for(error)(connection.scope, receive, send)
        else:
            await next_app(connection.scope, receive, send)

    def _refuse_stranger(self, connection: AnyConnection, error: InvalidInput) -> ASGIResponse:
        """Return the refusal of a token that does not count; of whoever has tried too many, another one."""
        try:
            self._limits.stranger(self._address(connection))
        except TooOften as too_often:
            return refuse_for(too_often)
        return refuse(401, error.what, error.next, error.why)

    def _address(self, connection: AnyConnection) -> str:
        """Return who asks, by address: behind a proxy of ours, by what that proxy has added last."""
        told = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if told and _name(f"//{connection.headers.get('host', '')}") in self._proxied:
            return told[:64]
        return connection.client.host if connection.client else ""

    async def _recognise(self, connection: AnyConnection) -> tuple[Identity, Session | None]:
        cookie = connection.cookies.get(cookie_name(connection))
        if cookie and "authorization" not in connection.headers:
            return await self._sessions.identify(cookie, connection.headers.get(KEY, ""))
        scheme, _, text = connection.headers.get("authorization", "").partition(" ")
        token = text.strip() if scheme.lower() == "bearer" else ""
        if token.count(".") == 2 and self._entrance.access.issuers:  # ours have no dot
            return await self._entrance.identify(token), None
        return await self._keyring.identify(token), None


def asker(request: Request[Any, Any, Any]) -> Identity:
    """Return who asks."""
    identity: Identity = request.scope["state"][_IDENTITY]
    return identity


def still_admitted(request: AnyConnection) -> StillAdmitted:
    """Return what a long answer asks now and then: it raises what the door would, were the request made now."""
    still: StillAdmitted = request.scope["state"][_STILL]
    return still


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
    path = connection.scope["path"]
    if cookie_name(connection) not in connection.cookies and (path in PROGRAMS or not is_open(path)):
        return True  # nobody: refused as that, or let do what is open to anybody
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
