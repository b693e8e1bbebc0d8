"""Signing a browser in and out, and who one is."""

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody

from bleen.domain.access import Role
from bleen.domain.errors import Forbidden, NothingToDo
from bleen.interfaces.api.guard import Asker, cookie_name, session_of
from bleen.interfaces.api.providers import Here
from bleen.interfaces.api.sessions import LASTS, Sessions
from bleen.interfaces.views import Code, IdentityView, Link, LinkOrder, NewSession

ANYBODY = {"needs": Role.VIEWER, "within": "any"}
Signed = NamedDependency[Sessions]
AnyRequest = Request[Any, Any, Any]


@post("/v1/links", status_code=201, opt=ANYBODY)
async def make_link(request: AnyRequest, asker: Asker, sessions: Signed, data: JSONBody[LinkOrder]) -> Link:
    """Make a code that signs one browser in at the console, once and within five minutes, with the rights of the asker."""
    if session_of(request):
        what = "a browser that is signed in signs no other one in"
        raise Forbidden(what, why="its session would have no end", next="bleen console")
    code, expires = sessions.invite(asker, asker.signs(data.by))
    return Link(code, expires)


@post("/v1/sessions", status_code=201, security=[{}])
async def open_session(request: AnyRequest, sessions: Signed, data: JSONBody[Code]) -> Response[NewSession]:
    """Sign the browser in that has the code of a link. Needs no token; answers a page of this server alone."""
    session, cookie, key = await sessions.open(data.code)
    kept = Cookie(
        key=cookie_name(request),
        value=cookie,
        path="/",
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),
    )
    return Response(NewSession(key, session.person, session.expires), status_code=201, cookies=[kept])


@delete("/v1/session", status_code=204, opt=ANYBODY)
async def close_session(request: AnyRequest, sessions: Signed) -> Response[None]:
    """Sign this browser out."""
    session = session_of(request)
    if session is None:
        raise NothingToDo("there is no session to end", why="a token was sent, and no session", next="bleen token revoke")
    await sessions.close(session)
    gone = Cookie(key=cookie_name(request), value="", path="/", max_age=0, httponly=True, samesite="strict")
    return Response(None, status_code=204, cookies=[gone])


@get("/v1/identity", opt=ANYBODY)
async def show_identity(request: AnyRequest, providers: Here, asker: Asker) -> IdentityView:
    """Who asks, what they may do, and where nobody approves what they deployed themselves."""
    session = session_of(request)
    return IdentityView(
        name=asker.name or (session.person if session else ""),
        grants=dict(asker.grants),
        environment=providers.environment,
        expires=session.expires if session else None,
        four_eyes=tuple(sorted(providers.four_eyes)),
    )


ROUTES = (make_link, open_session, close_session, show_identity)
