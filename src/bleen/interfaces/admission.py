"""Views of signing in with an issuer."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Tagged, Value
from bleen.interfaces.views import NewToken, View


class SignInView(View, frozen=True):
    """Whom people sign in with."""

    label: str
    """What people call the issuer; empty where there is none."""


class LoginStarted(View, frozen=True):
    """A sign-in of a command line, which somebody confirms in any browser."""

    url: str
    code: str
    """What the browser must show."""
    secret: str
    """What to ask with whether somebody has."""
    every: int
    """Seconds between two such questions."""
    expires: datetime


class LoginClaim(Value, frozen=True):
    """Ask whether a sign-in was confirmed."""

    secret: Annotated[str, Meta(max_length=200)]


class LoginPending(Tagged, frozen=True, forbid_unknown_fields=False):
    """Nobody has confirmed it yet."""


class LoginDone(Tagged, frozen=True, forbid_unknown_fields=False):
    """Somebody has."""

    made: NewToken


LoginResult = LoginPending | LoginDone
