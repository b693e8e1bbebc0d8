"""Signed tokens of an issuer: what must be true of one before a word of it is believed."""

from typing import Any

import msgspec
from authlib.oidc.core.claims import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import KeySet
from joserfc.util import urlsafe_b64decode

from bleen.domain.errors import InvalidInput

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures with a private key. Neither ``none``, nor any whose key both sides have (HS256)."""
LEEWAY = 60
"""Seconds by which two clocks may differ."""
_LONGEST = 20_000
"""Characters of a token."""
_KINDS = frozenset({"", "jwt", "at+jwt", "application/at+jwt", "id_token+jwt"})
"""What a token may say it is (``typ``): a logout token has an issuer and an audience, too, and is no proof of anything."""


class Wanted(msgspec.Struct, frozen=True):
    """What a token must say."""

    issuer: str
    audience: str
    now: float
    """Seconds since 1970."""
    nonce: str = ""
    """For somebody who signed in: what their browser was sent with."""
    access_token: str = ""
    """What the token was handed out beside; its hash may be in there."""
    client: str = ""
    """For somebody who signed in: the client that asked."""


def looks_signed(token: str) -> bool:
    """Return whether ``token`` has the form of a signed one."""
    return token.count(".") == 2 and token.startswith("ey")


def peek(token: str) -> tuple[str, str | None]:
    """Return the issuer and the id of the key that ``token`` names, which nobody has checked; InvalidInput."""
    if len(token) > _LONGEST or not looks_signed(token):
        raise InvalidInput("the token is missing or wrong", why="it is no signed token", next=_ANEW)
    head, body, _ = token.split(".")
    header, claims = _part(head), _part(body)
    issuer, kid = claims.get("iss"), header.get("kid")
    if not isinstance(issuer, str) or not isinstance(kid, str | None):
        raise InvalidInput("the token names no issuer", next=_ANEW)
    return issuer, kid


def read_token(token: str, keys: KeySet, wanted: Wanted) -> dict[str, Any]:
    """Return the claims of ``token``; InvalidInput says what is wrong with it, and never what would be right."""
    try:
        found = jwt.decode(token, keys, algorithms=ALGORITHMS)
        _check_kind(found.header)
        _check_claims(found, wanted)
    except JoseError as error:
        raise InvalidInput("the token does not count", why=_reason(error), next=_ANEW) from error
    except (ValueError, TypeError) as error:  # what joserfc says of a key that is no key for this algorithm
        raise InvalidInput("the token does not count", why="it cannot be read", next=_ANEW) from error
    return dict(found.claims)


def _check_kind(header: dict[str, Any]) -> None:
    kind = header.get("typ", "")
    if not isinstance(kind, str) or kind.lower() not in _KINDS:
        raise InvalidInput("the token does not count", why=f"it is a {kind!r}", next=_ANEW)


def _check_claims(found: jwt.Token, wanted: Wanted) -> None:
    options: dict[str, jwt.ClaimsOption] = {
        "iss": {"essential": True, "value": wanted.issuer},
        "aud": {"essential": True, "value": wanted.audience},
        "sub": {"essential": True},
        "exp": {"essential": True},
    }
    if not wanted.client:
        jwt.JWTClaimsRegistry(int(wanted.now), LEEWAY, **options).validate(found.claims)
        return
    params = {"client_id": wanted.client, "nonce": wanted.nonce, "access_token": wanted.access_token}
    CodeIDToken(found.claims, found.header, options, params).validate(int(wanted.now), LEEWAY)


def _reason(error: JoseError) -> str:
    match error:
        case ExpiredTokenError():
            return "it has expired"
        case MissingClaimError():
            return f"it lacks {error.claim}"
        case InvalidClaimError():
            return _CLAIMS.get(str(error.claim), f"its {error.claim} is wrong")
        case UnsupportedAlgorithmError():
            return "it is signed in a way that is not accepted"
        case InvalidKeyIdError():
            return "it is signed with a key that the issuer does not publish"
        case BadSignatureError():
            return "its signature is wrong"
        case _:
            return "it cannot be read"


_CLAIMS = {
    "iss": "it is of another issuer",
    "aud": "it was made for another audience",
    "nbf": "it does not count yet",
    "iat": "it was made in the future",
    "nonce": "it answers another sign-in (nonce)",
    "azp": "it was made for another client",
    "at_hash": "it belongs to another access token",
}
_ANEW = "get a new one of the issuer"


def _part(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(urlsafe_b64decode(text.encode()), type=dict[str, Any])
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("the token is missing or wrong", why="it is no signed token", next=_ANEW) from error
    return found
