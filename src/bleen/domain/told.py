"""Errors as values: how one is told across a socket, the engine or the API, and becomes itself again."""

from bleen.domain import errors
from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, InvalidInput, LawBroken

KINDS: dict[str, type[BleenError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BleenError)
}
"""Every class of the tree, by its name."""


class Told(Value, frozen=True):
    """An error in words, with the class that says whether trying again can help."""

    what: str
    why: str = ""
    next: str = ""
    where: str = ""
    """``file:line`` where a file is wrong."""
    law: int = 0
    """The law that would have been broken, if one."""
    error: str = ""
    """The name of its class."""


def tell(error: BleenError) -> Told:
    """Return ``error`` in words; a class from outside the tree is told as the nearest one inside."""
    return Told(
        what=error.what,
        why=error.why,
        next=error.next,
        where=error.where if isinstance(error, InvalidInput) else "",
        law=error.law if isinstance(error, LawBroken) else 0,
        error=kind_of(error).__name__,
    )


def kind_of(error: BleenError) -> type[BleenError]:
    """Return the class of the tree that ``error`` belongs to."""
    return next(kind for kind in type(error).__mro__ if kind in KINDS.values())


def retell(told: Told) -> BleenError | None:
    """Return the error that was told; None where its class is none of ours, as a newer version's may be."""
    kind = KINDS.get(told.error)
    if kind is None:
        return None
    if kind is LawBroken:
        return LawBroken(told.law, told.why)
    if kind is InvalidInput:
        return InvalidInput(told.what, why=told.why, next=told.next, where=told.where)
    return kind(told.what, why=told.why, next=told.next)


def named(name: str) -> type[BleenError]:
    """Return the class of that name; BleenError where there is none."""
    return KINDS.get(name, BleenError)
