"""OpenID Connect issuers: whom a controller believes about who somebody is, and which roles that gives.

What an issuer says of somebody are claims. Names and roles are read from them here, and nowhere else.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from bleen.domain.access import Role, Where, Who
from bleen.domain.codec import Value, lasting
from bleen.domain.duration import Duration
from bleen.domain.errors import Forbidden

Url = Annotated[str, Meta(pattern=r"^https?://[^\s#?]+$", max_length=500)]
Claim = Annotated[str, Meta(min_length=1, max_length=200)]

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""What `bleen.domain.access.Who` allows: a person is given a token, and a token has such a name."""
_PIPELINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/:+-]{0,199}")
"""Paths of projects too."""


class RoleRule(Value, frozen=True):
    """Roles for whoever has certain claims. Every rule that fits counts; in each environment, the highest role."""

    roles: Annotated[
        dict[Where, Role],
        Meta(min_length=1, description="The role in each environment; `*` is everywhere.", examples=[{"dev": "deployer"}]),
    ]
    when: Annotated[
        dict[Claim, tuple[str, ...]],
        Meta(
            min_length=1,
            description="Claims, and for each one the values of which it must have one. All of the claims must fit.",
            examples=[{"groups": ["developers"]}],
        ),
    ]


class SignInClient(Value, frozen=True):
    """How Bleen is registered at an issuer, for people who sign in."""

    client: Annotated[str, Meta(min_length=1, description="The client id.", examples=["bleen"])]
    secret_file: Annotated[
        str, Meta(description="The file with the client's secret; default: a public client, which PKCE alone protects.")
    ] = ""
    scopes: Annotated[
        tuple[str, ...], Meta(description="What is asked for; `openid` must be among it.", examples=[["openid", "profile"]])
    ] = ("openid", "profile", "email")


class Issuer(Value, frozen=True):
    """One issuer. People sign in where it has `sign_in`; programs send its tokens where it has an `audience`."""

    issuer: Annotated[
        Url,
        Meta(
            description="Its address, to the letter as it stands in its own tokens. `https`, but on the loopback.",
            examples=["https://login.example.org"],
        ),
    ]
    rules: Annotated[
        tuple[RoleRule, ...], Meta(min_length=1, description="Who gets which role. Whom none of them fits is let in nowhere.")
    ]
    label: Annotated[str, Meta(max_length=40, description="What people call it; default: its host name.")] = ""
    sign_in: Annotated[SignInClient | None, Meta(description="Lets people sign in.")] = None
    audience: Annotated[
        str,
        Meta(
            description="Lets programs send tokens of this issuer that were made for this audience; default: none are taken.",
            examples=["https://bleen.example.org"],
        ),
    ] = ""
    name: Annotated[
        Claim, Meta(description="The claim that is the name in the ledger. Nobody may be able to choose their own.")
    ] = "preferred_username"
    lasts: Annotated[Duration, Meta(description="How long somebody who signed in stays so; at most 7d.")] = lasting("12h")

    @property
    def title(self) -> str:
        """Return what people call it."""
        return self.label or self.issuer.partition("://")[2].partition("/")[0]


class Access(Value, frozen=True):
    """Whom a controller believes about who somebody is."""

    issuers: Annotated[tuple[Issuer, ...], Meta(description="At most one of them may have `sign_in`.")] = ()
    address: Annotated[
        str,
        Meta(
            description="The address under which people open the console; default: the one that their browser asked.",
            pattern=r"^(|https?://[^\s#?]*[^\s#?/])$",
            examples=["https://bleen.example.org"],
        ),
    ] = ""

    @property
    def door(self) -> Issuer | None:
        """Return the issuer that people sign in with; None where there is none."""
        return next((issuer for issuer in self.issuers if issuer.sign_in), None)


class Claims(Value, frozen=True):
    """What an issuer said, and vouched for with its signature. The subject is never empty."""

    issuer: str
    subject: str
    said: Mapping[str, Any]


class Errand(Value, frozen=True):
    """A browser that was sent to an issuer, and what it must bring back."""

    url: str
    """Where it is sent."""
    redirect: str
    """Where it comes back to."""
    state: str
    """Comes back beside the code."""
    nonce: str
    """Comes back inside the signed token."""
    verifier: str
    """What the code is worth nothing without (PKCE, RFC 7636)."""


class DeviceErrand(Value, frozen=True):
    """A person who was asked to confirm a code at an issuer, in any browser (RFC 8628)."""

    url: str
    code: str
    """What they are shown there, or type."""
    device: str
    """What the issuer is asked with whether they have."""
    every: int
    """Seconds between two such questions."""
    expires: datetime
    whole_url: str = ""
    """The address with the code in it; empty where the issuer has none."""


def roles_of(issuer: Issuer, claims: Claims) -> dict[str, Role]:
    """Return the highest role that the rules give in each environment; Forbidden where they give none."""
    found: dict[str, Role] = {}
    for rule in issuer.rules:
        if _fits(rule, claims.said):
            for where, role in rule.roles.items():
                found[where] = max(found.get(where, role), role, key=lambda one: one.rank)
    if not found:
        raise Forbidden(
            f"{issuer.title} says who you are, and no rule gives you a role",
            why=f"you are {claims.subject}; the rules look at {', '.join(sorted(_looked_at(issuer)))}",
            next="ask whoever keeps the access file of the controller",
        )
    return found


def person_of(issuer: Issuer, claims: Claims) -> Who:
    """Return the name of somebody who signs in; Forbidden where the ledger could not take it."""
    return _name(issuer, claims, _PERSON, "letters, digits and ._@-, at most 64")


def program_of(issuer: Issuer, claims: Claims) -> str:
    """Return the name of a program; Forbidden where the ledger could not take it."""
    return _name(issuer, claims, _PIPELINE, "letters, digits and ._@/:+-, at most 200")


def values_of(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the values of a claim as text: a list's items, or the one value.

    ``realm_access.roles`` is the claim of that very name, or else what ``realm_access`` has under ``roles``.
    """
    value: Any = said.get(name)
    if value is None and "." in name:
        value = said
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return tuple(_texts(value if isinstance(value, list | tuple) else [value]))


def _texts(values: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    for value in values:
        if isinstance(value, bool):
            yield str(value).lower()
        elif isinstance(value, str | int):
            yield str(value)


def _fits(rule: RoleRule, said: Mapping[str, Any]) -> bool:
    return all(set(wanted) & set(values_of(said, claim)) for claim, wanted in rule.when.items())


def _looked_at(issuer: Issuer) -> set[str]:
    return {claim for rule in issuer.rules for claim in rule.when}


def _name(issuer: Issuer, claims: Claims, allowed: re.Pattern[str], words: str) -> str:
    values = values_of(claims.said, issuer.name)
    name = values[0] if len(values) == 1 else ""
    if not allowed.fullmatch(name):
        what = f"the claim {issuer.name} of {issuer.title} makes no name for the ledger"
        why = f"it is {name!r}; a name has {words}" if name else f"{claims.subject} has no such claim, or several"
        raise Forbidden(what, why=why, next="in the access file, name: another claim, such as email")
    return name
