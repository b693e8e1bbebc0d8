"""Tokens: made, listed, revoked."""

from datetime import datetime

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from bleen.domain.access import Role, Token, covers
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.providers import Here
from bleen.interfaces.views import NewToken, TokenList, TokenOrder, TokenView

ADMIN = {"needs": Role.ADMIN, "within": "any"}
Keys = NamedDependency[Keyring]


@post("/v1/tokens", status_code=201, opt=ADMIN)
async def make_token(providers: Here, asker: Asker, keyring: Keys, data: JSONBody[TokenOrder]) -> NewToken:
    """Make a token. It can grant no role where the asker is no admin."""
    for environment in data.grants:
        asker.check(Role.ADMIN, environment)
    token, secret = await keyring.make(data.name, data.grants, data.lasts, asker.signs(data.by))
    return NewToken(token=view(token, False, providers.clock()), secret=secret)


@get("/v1/tokens", opt=ADMIN)
async def list_tokens(providers: Here, asker: Asker, keyring: Keys) -> TokenList:
    """Every token of the environments that the asker is an admin of, newest first."""
    now = providers.clock()
    mine = [(token, revoked) for token, revoked in await keyring.all() if covers(asker, token.grants)]
    return TokenList(tokens=tuple(view(token, revoked, now) for token, revoked in mine))


@delete("/v1/tokens/{token:str}", status_code=204, opt=ADMIN)
async def revoke_token(asker: Asker, keyring: Keys, token: FromPath[str], by: FromQuery[str] = "") -> None:
    """Let a token count no longer, from this moment on."""
    for environment in (await keyring.find(token)).grants:
        asker.check(Role.ADMIN, environment)
    await keyring.revoke(token, asker.signs(by))


def view(token: Token, revoked: bool, now: datetime) -> TokenView:
    """Return ``token`` as it is shown."""
    state = "revoked" if revoked else "expired" if token.expires <= now else "valid"
    return TokenView(token.id, token.name, token.grants, token.made, token.expires, token.by, state)


ROUTES = (make_token, list_tokens, revoke_token)
