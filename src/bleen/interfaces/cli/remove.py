"""Removing a service: asked twice for, and watched until it is gone."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput
from bleen.interfaces.cli.options import (
    BreakGlass,
    Context,
    Environment,
    Json,
    OverrideFreeze,
    ServiceName,
    example,
)
from bleen.interfaces.cli.session import DETACHED, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bleen.domain.removal import Removing
    from bleen.interfaces.client import Client
    from bleen.interfaces.views import ServiceView

_PAUSE = 0.2
PATIENCE = 60.0
"""Seconds without an answer of the server before watching ends. The removal itself goes on."""

BEGUN = 10.0
"""Seconds in which a removal that was asked for shows; one that does not, or not any more, has ended."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen remove hello", 'bleen remove hello --yes --reason "nobody uses it"'))(remove)


def remove(
    ctx: Context,
    service: ServiceName,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the ledger keeps it.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    env: Environment = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait until it is gone.")] = False,
    break_glass: BreakGlass = "",
    override_freeze: OverrideFreeze = "",
    json: Json = False,
) -> None:
    """Take a service out of an environment for good.

    Its route leaves every gateway first, then its instances end. Its releases, its history and the ledger stay, and
    bleen deploy brings it back.
    """
    from bleen.interfaces.views import RemovalOrder

    session: Session = ctx.obj
    environment = session.environment(env)
    order = RemovalOrder(session.person, reason, break_glass, override_freeze)
    with session.client() as client:
        view = client.service(environment, service)
        if not yes and not _confirmed(session, view):
            session.say("nothing was changed")
            raise typer.Exit(DETACHED)
        removing = client.remove(environment, service, order)
        if detach:
            _detached(session, removing)
            return
        raise typer.Exit(_watch(session, client, removing))


def _confirmed(session: Session, view: "ServiceView") -> bool:
    """Ask; InvalidInput, with what to write instead, where nobody could answer."""
    if session.json or not (sys.stdin.isatty() and session.out.isatty()):
        raise InvalidInput(
            f"{view.service} is not removed unasked",
            why="there is no terminal to ask at",
            next=f"bleen remove {view.service} --env {view.environment} --yes",
        )
    session.say(_stakes(view))
    return typer.confirm(f"Remove {view.service} from {view.environment}?")


def _stakes(view: "ServiceView") -> str:
    """Return what ends with the service."""
    from bleen.interfaces.figures import counted

    serves = f"{view.stable.name} of {view.service} serves at {view.urls.live}" if view.stable else f"{view.service} is there"
    running = counted(sum(len(fleet.instances) for fleet in view.fleets), "instance")
    return f"{serves}, and {running} of it will end; its releases and its history stay"


def _detached(session: Session, removing: "Removing") -> None:
    if session.json:
        session.say_json(removing)
    else:
        session.say(f"{removing.service} is being removed from {removing.environment}")
        session.say(f"watch it: bleen status {removing.service}")


def _watch(session: Session, client: "Client", removing: "Removing") -> int:
    """Tell each step until nothing is left; return the exit code."""
    began = time.monotonic()
    if not session.json:
        session.say(f"{removing.service} leaves {removing.environment}: every gateway first, then its instances end")
    try:
        for line in _steps(client, removing):
            if not session.json:
                session.say(f"{time.monotonic() - began:6.1f}s  {line}", " " * 9)
    except KeyboardInterrupt:
        session.say(f"the removal of {removing.service} goes on without you: bleen status {removing.service}")
        return DETACHED
    if session.json:
        session.say_json({"ok": True, "removal": removing})
        return 0
    session.say(f"done: {removing.service} is gone from {removing.environment}; its releases and its history stay")
    session.say(f"to bring it back, by its service file: bleen deploy {removing.service}")
    return 0


def _steps(client: "Client", removing: "Removing") -> "Iterator[str]":
    """Yield what the removal does, whenever that changes; Unreachable after a minute without an answer.

    InvalidInput where the service stays and its removal does not: a gateway can be of a kind that keeps its routes.
    """
    from bleen.domain.errors import NotFound, Transient

    told, last = "", removing
    heard = seen = time.monotonic()
    while True:
        try:
            now = client.service(removing.environment, removing.service).removing
            heard = time.monotonic()
            if now is not None:
                last, seen = now, heard
            elif heard - seen > BEGUN:
                raise _given_up(last)
            line = _words(now, told) if now else told
        except NotFound:
            return
        except Transient:
            if time.monotonic() - heard > PATIENCE:
                raise
            seen = time.monotonic()
            line = "the server does not answer; the removal goes on without it"
        if line != told:
            told = line
            yield line
        time.sleep(_PAUSE)


def _given_up(removing: "Removing") -> InvalidInput:
    """Return the error of a removal that has ended, and the service is still there."""
    service = removing.service
    why = removing.error or "its removal has ended, and it is still there: the log of the controller says why"
    return InvalidInput(f"{service} is not removed from {removing.environment}", why=why, next=f"bleen status {service}")


def _words(removing: "Removing", before: str) -> str:
    """Return what it does now; of what is over already, nothing new."""
    from bleen.domain.removal import Gone
    from bleen.interfaces.words import removal_words

    if removing.error:
        return f"it is tried again: {removing.error}"
    return before if removing.step is None or isinstance(removing.step, Gone) else removal_words(removing.step)
