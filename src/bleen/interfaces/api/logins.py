"""Signing in with an OpenID Connect issuer: a browser that is sent there, and a command line that waits."""

from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import Redirect

from bleen.domain.access import Role
from bleen.domain.errors import NothingToDo
from bleen.interfaces.admission import LoginClaim, LoginDone, LoginPending, LoginResult, LoginStarted, SignInView
from bleen.interfaces.api.entrance import ERRAND_LASTS, Entrance, Returned, tell
from bleen.interfaces.api.guard import Asker, cookie_name, session_of
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.providers import Here
from bleen.interfaces.api.sessions import Sessions
from bleen.interfaces.api.tokens import view
from bleen.interfaces.views import NewToken

Door = NamedDependency[Entrance]
AnyRequest = Request[Any, Any, Any]
BACK = "/v1/sign-in/callback"
_NO_STORE = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


@get("/v1/sign-in", security=[{}], sync_to_thread=False)
def show_sign_in(entrance: Door) -> SignInView:
    """Whom people sign in with at the console; empty where only a link of `bleen console` does. Needs no token."""
    door = entrance.access.door
    return SignInView(door.title if door else "")


@get("/v1/sign-in/start", include_in_schema=False, status_code=303)
async def start_sign_in(request: AnyRequest, entrance: Door) -> Redirect:
    """Send a browser to the issuer."""
    url, kept = await entrance.begin(_address(request, entrance) + BACK)
    return Redirect(url, status_code=303, headers=_NO_STORE, cookies=[_cookie(request, entrance, kept)])


@get(BACK, include_in_schema=False, status_code=303)
async def finish_sign_in(
    request: AnyRequest,
    entrance: Door,
    sessions: NamedDependency[Sessions],
    code: Annotated[str, QueryParameter(max_length=4000)] = "",
    told: Annotated[str, QueryParameter(name="state", max_length=200)] = "",
    error: Annotated[str, QueryParameter(max_length=200)] = "",
    iss: Annotated[str, QueryParameter(max_length=500)] = "",
) -> Redirect:
    """Take a browser back from the issuer, and send it to the console with a code that is good once."""
    kept = request.cookies.get(_name(request), "")
    link = await tell(entrance, sessions, Returned(told, kept, code, error, iss))
    gone = _cookie(request, entrance, "")
    return Redirect(f"/console/#code={link}", status_code=303, headers=_NO_STORE, cookies=[gone])


@post("/v1/logins", status_code=201, security=[{}])
async def start_login(entrance: Door) -> LoginStarted:
    """Begin to sign a command line in: somebody confirms the code in any browser. Needs no token."""
    errand, secret = await entrance.begin_device()
    return LoginStarted(errand.whole_url or errand.url, errand.code, secret, errand.every, errand.expires)


@post("/v1/logins/claim", status_code=200, security=[{}])
async def claim_login(providers: Here, entrance: Door, data: JSONBody[LoginClaim]) -> LoginResult:
    """Ask whether somebody has; then the answer has the token, this once. Needs no token."""
    made = await entrance.finish_device(data.secret)
    if made is None:
        return LoginPending()
    token, secret = made
    return LoginDone(NewToken(view(token, False, providers.clock()), secret))


@delete("/v1/token", status_code=204, opt={"needs": Role.VIEWER, "within": "any"})
async def end_token(request: AnyRequest, asker: Asker, keyring: NamedDependency[Keyring]) -> None:
    """Let the token that asks count no longer: what `bleen logout` does."""
    if session_of(request) or not asker.name or not asker.token:
        why = "a session asks, the token of the home, or an issuer's token"
        raise NothingToDo("there is no token to end", why=why, next="bleen token revoke ID")
    await keyring.revoke(asker.token, asker.name)


def _address(request: AnyRequest, entrance: Entrance) -> str:
    """Return the address of this server as browsers know it; the guard has checked the host that they asked."""
    return entrance.access.address or f"http://{request.headers['host']}"


def _cookie(request: AnyRequest, entrance: Entrance, value: str) -> Cookie:
    """Return what binds an errand to a browser. ``lax``: it must come along when the issuer sends the browser back."""
    return Cookie(
        key=_name(request),
        value=value,
        path="/v1/sign-in",
        max_age=int(ERRAND_LASTS.total_seconds()) if value else 0,
        httponly=True,
        samesite="lax",
        secure=entrance.access.address.startswith("https:"),
    )


def _name(request: AnyRequest) -> str:
    return f"{cookie_name(request)}_sign_in"


ROUTES = (show_sign_in, start_sign_in, finish_sign_in, start_login, claim_login, end_token)
