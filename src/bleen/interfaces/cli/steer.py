"""What a person tells a rollout: promote, pause, resume, abort, retry, rollback, scale.

Nothing heavy is imported before the answer is in: `bleen rollback` is typed in a hurry.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput
from bleen.interfaces.cli.options import (
    BreakGlass,
    Context,
    Detach,
    Environment,
    Json,
    OverrideFreeze,
    ServiceName,
    example,
)
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.command import Command
    from bleen.interfaces.views import RollbackResult


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen promote hello"))(promote)
    app.command(epilog=example("bleen pause hello"))(pause)
    app.command(epilog=example("bleen resume hello"))(resume)
    app.command(epilog=example("bleen abort hello"))(abort)
    app.command(epilog=example("bleen retry hello"))(retry)
    app.command(epilog=example("bleen rollback hello", "bleen rollback hello --to r2"))(rollback)
    app.command(epilog=example("bleen scale hello 4"))(scale)


def promote(
    ctx: Context,
    service: ServiceName,
    full: Annotated[bool, typer.Option("--full", help="Skip every check and approval that is left.")] = False,
    env: Environment = None,
    break_glass: BreakGlass = "",
    override_freeze: OverrideFreeze = "",
    json: Json = False,
) -> None:
    """Say yes to a rollout that waits for it.

    With --override-freeze, have one go on that a freeze holds; it still waits for the approvals of its strategy.
    """
    from bleen.domain.command import Advance, Exempt

    if override_freeze:
        _tell(ctx.obj, env, service, Exempt(ctx.obj.person, override_freeze), "goes on in spite of the freeze")
        return
    _tell(ctx.obj, env, service, Advance(by=ctx.obj.person, full=full), "goes on", break_glass)


def pause(ctx: Context, service: ServiceName, env: Environment = None, json: Json = False) -> None:
    """Hold a rollout where it is.

    Aborting and rolling back stay possible.
    """
    from bleen.domain.command import Pause

    _tell(ctx.obj, env, service, Pause(by=ctx.obj.person), "is paused; bleen resume {service} goes on")


def resume(ctx: Context, service: ServiceName, env: Environment = None, json: Json = False) -> None:
    """Go on after a pause."""
    from bleen.domain.command import Resume

    _tell(ctx.obj, env, service, Resume(by=ctx.obj.person), "goes on")


def abort(ctx: Context, service: ServiceName, env: Environment = None, json: Json = False) -> None:
    """Stop a rollout before it is promoted.

    All traffic returns to the old release.
    """
    from bleen.domain.command import Abort

    _tell(ctx.obj, env, service, Abort(by=ctx.obj.person), "goes back")


def scale(
    ctx: Context,
    service: ServiceName,
    instances: Annotated[int, typer.Argument(metavar="INSTANCES", min=1, max=1000, help="How many instances.")],
    env: Environment = None,
    json: Json = False,
) -> None:
    """Change the number of instances.

    Until the next deployment, which goes by `instances` of the service file.
    """
    from bleen.interfaces.cli import outcome
    from bleen.interfaces.views import ScaleOrder

    session: Session = ctx.obj
    with session.client() as client:
        result = client.scale(session.environment(env), service, ScaleOrder(by=session.person, size=instances))
    outcome.tell_size(session, session.environment(env), service, result)


def retry(ctx: Context, service: ServiceName, env: Environment = None, detach: Detach = False, json: Json = False) -> None:
    """Roll a refused release out again.

    The last one, after it was refused or aborted, with every check.
    """
    from bleen.interfaces.views import RetryOrder

    session: Session = ctx.obj
    with session.client() as client:
        result = client.retry(session.environment(env), service, RetryOrder(by=session.person))
    raise typer.Exit(_after(session, session.environment(env), service, result, detach))


def rollback(
    ctx: Context,
    service: ServiceName,
    to: Annotated[str | None, typer.Option("--to", metavar="rN", help="The release; default: the one before.")] = None,
    env: Environment = None,
    detach: Detach = False,
    json: Json = False,
) -> None:
    """Go back to the release before.

    By one split change while the old fleet is warm, else by a rollout of the old release.
    """
    from bleen.interfaces.views import GoBackOrder

    session: Session = ctx.obj
    order = GoBackOrder(by=session.person, to=_release(to, service))
    with session.client() as client:
        result = client.rollback(session.environment(env), service, order)
    raise typer.Exit(_after(session, session.environment(env), service, result, detach))


def _release(text: str | None, service: str) -> int | None:
    if text is None:
        return None
    if not text.removeprefix("r").isdecimal():
        raise InvalidInput(f"{text!r} is no release", why="releases are r1, r2, ...", next=f"bleen history {service}")
    return int(text.removeprefix("r"))


def _tell(session: Session, env: str | None, service: str, command: "Command", then: str, emergency: str = "") -> None:
    with session.client() as client:
        rollout = client.command(session.environment(env), service, command, break_glass=emergency)
    if session.json:
        session.say_json(rollout)
        return
    from bleen.interfaces.words import course_words

    session.say(f"{rollout.id} ({course_words(rollout)}) {then.format(service=service)}")
    session.say(f"watch it: bleen status {service} --watch")


def _after(session: Session, environment: str, service: str, result: "RollbackResult", detach: bool) -> int:
    from bleen.interfaces.cli import outcome

    return outcome.conclude(session, environment, service, result, detach=detach)
