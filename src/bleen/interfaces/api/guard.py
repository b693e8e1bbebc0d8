"""The door: programs that hold a token, for the name of this server. Browsers on foreign pages hold none, and are told apart.

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

from bleen.domain.access import ANYWHERE, Identity, Role
from bleen.domain.errors import BleenError, Forbidden, InvalidInput
from bleen.interfaces.api.faults import refuse, refuse_for
from bleen.interfaces.api.keyring import Keyring

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/healthz", "/readyz"})
_SCHEMA = "/schema"
_IDENTITY = "identity"

AnyConnection = ASGIConnection[Any, Any, Any, Any]
Asker = NamedDependency[Identity]
"""Who asks, as a route wants to know."""


class Guard(ASGIMiddleware):
    """Checks Host and Origin, so that no web page can reach the API by a rebound name, and who asks."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, keyring: Keyring, hosts: tuple[str, ...] = ()) -> None:
        self._keyring = keyring
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
        elif scope["path"] in OPEN:
            await next_app(scope, receive, send)
        else:
            await self._admit(connection, receive, send, next_app)

    async def _admit(self, connection: AnyConnection, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        try:
            identity = await self._keyring.identify(token.strip() if scheme.lower() == "bearer" else "")
        except InvalidInput as error:
            await refuse(401, error.what, error.next, error.why)(connection.scope, receive, send)
        except BleenError as error:
            await refuse_for(error)(connection.scope, receive, send)
        else:
            connection.scope.setdefault("state", {})[_IDENTITY] = identity
            await next_app(connection.scope, receive, send)


def asker(request: Request[Any, Any, Any]) -> Identity:
    """Return who asks."""
    identity: Identity = request.scope["state"][_IDENTITY]
    return identity


async def authorise(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Refuse whoever has not the role that the route ``needs``, where it is ``within``: Forbidden.

    ``within`` is ``"environment"``: the one in the path or the query, or the platform's own; ``"any"``: somewhere, and the
    route looks closer; ``"body"``: the route checks the one that the body names. A route that says nothing is nobody's.
    """
    path = connection.scope["path"]
    if path in OPEN:
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


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
