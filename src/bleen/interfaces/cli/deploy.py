"""Deploying: from a service file to a release that serves, or does not."""

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
    from bleen.interfaces.client import Client
    from bleen.interfaces.views import DryRun
    from bleen.workflows.messages import DeployRequest, DeployResult

_DIGEST = "sha256:"


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen deploy hello", "bleen deploy hello --version 2.0.0 --dry-run"))(deploy)


def deploy(
    ctx: Context,
    service: ServiceName,
    version: Annotated[str | None, typer.Option("--version", metavar="V", help="This version of its package.")] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="DIGEST", help="This image, built before.")] = None,
    env: Environment = None,
    detach: Detach = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the decisions it would take, and take none.")] = False,
    break_glass: BreakGlass = "",
    override_freeze: OverrideFreeze = "",
    json: Json = False,
) -> None:
    """Make a release of a service and roll it out.

    Exit code 0: promoted, or nothing to change. 1: it failed, or a policy blocks its image, and the old release has all
    traffic. 2: the service file or the command is wrong. 3: the platform could not do it.
    """
    session: Session = ctx.obj
    request = _request(session, session.environment(env), service, version, image)
    with session.client() as client:
        if dry_run:
            _foretell(session, service, client.dry_run(request))
            return
        from bleen.interfaces.cli.follow import rollouts_of
        from bleen.interfaces.cli.outcome import conclude
        from bleen.interfaces.cli.stages import showing

        before = rollouts_of(client, request.environment, service)
        if not session.json:
            session.say(f"{service}: building the image, where it is not built yet")
        with showing(session, client, request.environment, service):
            result = client.deploy(request, break_glass=break_glass, override_freeze=override_freeze)
        if not session.json and (said := fallen_back(client, request, result)):
            session.say(said)
    raise typer.Exit(conclude(session, request.environment, service, result, detach=detach, before=before))


def _request(session: Session, environment: str, service: str, version: str | None, image: str | None) -> "DeployRequest":
    from dataclasses import replace
    from pathlib import Path

    from bleen.interfaces.repository import find_root, find_service, policy_around, runtime_of, with_version
    from bleen.workflows.messages import DeployRequest

    if version is not None and image is not None:
        raise InvalidInput("--version and --image exclude each other", why="an image has its version", next="leave one out")
    loaded = find_service(find_root(Path.cwd()), service)
    if version is not None:
        loaded = replace(loaded, service=with_version(loaded.service, version))
    return DeployRequest(
        environment=environment,
        spec=loaded.service,
        runtime=runtime_of(loaded),
        folder=str(loaded.folder),
        by=session.person,
        image=None if image is None else _digest(image),
        base=loaded.base,
        policy=policy_around(loaded.folder),
    )


def fallen_back(client: "Client", request: "DeployRequest", result: "DeployResult") -> str:
    """Return what to say of a release that has no base, though its service names one; empty where all is as it was asked."""
    from bleen.workflows.building import HOST_BASED
    from bleen.workflows.messages import Refused

    if request.base is None or request.image is not None or isinstance(result, Refused):
        return ""
    if client.image(result.release.image).image.base != "host":
        return ""
    return f"host-based, because no mirror answered: {HOST_BASED[:1].lower()}{HOST_BASED[1:]}"


def _digest(text: str) -> str:
    digest = text if text.startswith(_DIGEST) else _DIGEST + text
    if len(digest) != len(_DIGEST) + 64 or set(digest.removeprefix(_DIGEST)) - set("0123456789abcdef"):
        why = "a digest is sha256: and 64 hexadecimal digits"
        raise InvalidInput(f"{text!r} is no digest", why=why, next="bleen image list", where="--image")
    return digest


def _foretell(session: Session, service: str, dry: "DryRun") -> None:
    if session.json:
        session.say_json(dry)
        return
    from bleen.interfaces.words import decision_words

    if dry.unchanged:
        session.say(f"{dry.release} serves {service} already: nothing would change")
        return
    session.say(f"{dry.release} would take these decisions, if all goes well:")
    for number, decision in enumerate(dry.decisions, 1):
        session.say(f"{number:>3}. {decision_words(decision)}", " " * 5)
        session.say(f"     {decision.why}", " " * 5)
    session.say(f"nothing was changed; do it: bleen deploy {service}")
