"""Who may do what, where: tokens, their roles by environment, and the approval by somebody else."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Value
from bleen.domain.errors import Forbidden
from bleen.domain.service import Strategy
from bleen.domain.strategy import Judge, compile_steps

ANYWHERE = "*"
"""Grants a role in every environment."""

Who = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$",
        description="A person or a program: letters, digits and `._@-`.",
        examples=["ada"],
    ),
]
Where = Annotated[
    str, Meta(pattern=r"^(\*|[a-z][a-z0-9-]{0,39})$", description="An environment, or `*` for all.", examples=["dev"])
]


class Role(StrEnum):
    """What somebody may do. Each one includes those before it."""

    VIEWER = "viewer"
    """Look at everything."""
    DEPLOYER = "deployer"
    """Deploy, roll back, pause, resume, abort, retry, scale, remove."""
    APPROVER = "approver"
    """Say yes to a rollout that waits for a person."""
    ADMIN = "admin"
    """Make and revoke tokens."""

    @property
    def rank(self) -> int:
        """The larger, the more it may."""
        return list(Role).index(self)


class Token(Value, frozen=True):
    """A token, as the ledger keeps it: the secret itself is nowhere."""

    id: str
    name: Who
    """Whom it speaks for: the ledger's ``by``."""
    digest: str
    """SHA-256 of the secret, which has 256 random bits."""
    grants: dict[Where, Role]
    made: datetime
    expires: datetime
    by: str
    subject: str = ""
    """Whom an issuer knows it is, where somebody signed in: the issuer and its word for them. Empty: an admin made it."""


class Session(Value, frozen=True):
    """A browser that was signed in, as the ledger keeps it. It stands for a token, and ends with it."""

    id: str
    person: str
    """Who signed in. Where the token speaks for nobody, the ledger takes this for the name."""
    of: str
    """The digest of the token."""
    digest: str
    """SHA-256 of both halves of its secret: the browser keeps one in a cookie, the page keeps the other."""
    opened: datetime
    expires: datetime


class Identity(Value, frozen=True):
    """Who asks."""

    name: str
    """Empty for the token of the home: whoever can read that file is trusted to say who they are."""
    token: str
    """The id of the token."""
    grants: Mapping[str, Role]

    def role(self, environment: str) -> Role | None:
        """Return the role in ``environment``; None: not even viewer."""
        found = [role for where, role in self.grants.items() if where in (environment, ANYWHERE)]
        return max(found, key=lambda role: role.rank, default=None)

    def may(self, need: Role, environment: str) -> bool:
        """Return whether it has the role ``need``, or a higher one, in ``environment``."""
        role = self.role(environment)
        return role is not None and role.rank >= need.rank

    def may_somewhere(self, need: Role) -> bool:
        """Return whether it has the role in any environment."""
        return any(role.rank >= need.rank for role in self.grants.values())

    def check(self, need: Role, environment: str) -> None:
        """Raise Forbidden where it has not the role in ``environment``."""
        if not self.may(need, environment):
            where = "every environment" if environment == ANYWHERE else environment
            role = self.role(environment)
            raise Forbidden(
                f"{self.name or 'this token'} may not do that in {where}",
                why=f"it takes the role {need}, and the token has {f'the role {role}' if role else 'no role'} there",
                next=f"ask an admin: bleen token create NAME --grant {environment}={need}",
            )

    def signs(self, by: str) -> str:
        """Return who the ledger will say it was: the token's name, or for the token of the home what it was told."""
        return self.name or by


HOME = Identity("", "home", {ANYWHERE: Role.ADMIN})
"""Whoever holds the token of the home, made at the first start: the owner of the platform."""


def refuse_own_approval(who: Identity, author: str, environment: str) -> None:
    """Refuse an approval by the author of the rollout, or by somebody who cannot be told from them: Forbidden."""
    if not who.name:
        why = "the token of the home speaks for nobody: who approves cannot be told from who deployed"
    elif who.name == author:
        why = f"{author} deployed it, and {environment} wants somebody else to approve"
    else:
        return
    raise Forbidden(
        f"this approval does not count in {environment}",
        why=why,
        next="ask an approver for bleen promote; in an emergency, --break-glass REASON, which everybody hears of",
    )


def refuse_unjudged(strategy: Strategy, size: int, environment: str) -> None:
    """Refuse a deployment that would ask nobody, where every one has to be approved by somebody: Forbidden."""
    judges = [step for step in compile_steps(strategy, size=size, trusted=False) if isinstance(step, Judge)]
    if not any(judge.auto_after is None for judge in judges):
        raise Forbidden(
            f"a deployment to {environment} must wait for an approval, and this one would ask nobody",
            why="BLEEN_FOUR_EYES names the environment",
            next="in the service file, strategy: auto_promote: false, or a judge step; in an emergency, --break-glass REASON",
        )


def unasked_removal(environment: str) -> Forbidden:
    """Return the error of a removal where everything has to be approved by somebody."""
    return Forbidden(
        f"a service is not removed from {environment} by one person alone",
        why="BLEEN_FOUR_EYES names the environment, and a removal asks nobody",
        next="agree on it, and say so: --break-glass REASON, which everybody hears of",
    )


def grants_words(grants: Mapping[str, Role]) -> str:
    """Return ``dev=deployer, production=viewer``."""
    return ", ".join(f"{where}={role}" for where, role in sorted(grants.items()))


def covers(who: Identity, environments: Collection[str]) -> bool:
    """Return whether ``who`` is an admin in each of ``environments``."""
    return all(who.may(Role.ADMIN, environment) for environment in environments)
