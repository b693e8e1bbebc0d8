"""Whether an image can be trusted: who signed it, what is in it, what is wrong with it."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.inventory import BillFormat
from bleen.interfaces.cli.chosen import Chosen, choose
from bleen.interfaces.cli.options import Context, Environment, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.image import Image
    from bleen.domain.provenance import Provenance

_PLAIN = "type"
_WHOLE = re.compile(r"sha256:[0-9a-f]{64}")
"""A whole digest: it may be that of a candidate, which is in no list."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen image verify hello"))(verify)
    app.command(epilog=example("bleen image scan hello", "bleen image scan hello --env production"))(scan)
    app.command(epilog=example("bleen image sbom hello > sbom.json", "bleen image sbom hello --format spdx"))(sbom)


def verify(ctx: Context, image: Chosen, json: Json = False) -> None:
    """Check an image as an instance would: every byte, and who signed it.

    Exit code 3 where it may not start.
    """
    session: Session = ctx.obj
    with session.client() as client:
        found = choose(client, image)
        said = client.provenance(found.digest)
    if session.json:
        session.say_json({"image": found, "provenance": said})
        return
    _tell(session, found, said)


def scan(ctx: Context, image: Chosen, env: Environment = None, json: Json = False) -> None:
    """Say what is wrong with an image, what was not checked, and whether it may be released.

    By infrastructure/policy.yaml of the repository, or the default policy. Exit code 1 where that blocks it. A whole
    digest may be that of a candidate, which was blocked and not published.
    """
    from pathlib import Path

    from bleen.interfaces.cli.scan import tell_scan
    from bleen.interfaces.repository import policy_around
    from bleen.interfaces.views import ScanOrder

    session: Session = ctx.obj
    order = ScanOrder(session.environment(env), policy_around(Path.cwd()))
    with session.client() as client:
        view = client.scan(image if _WHOLE.fullmatch(image) else choose(client, image).digest, order)
    if session.json:
        session.say_json(view)
    else:
        tell_scan(session, view)
    raise typer.Exit(0 if view.judgement.allowed else 1)


def sbom(
    ctx: Context,
    image: Chosen,
    form: Annotated[BillFormat, typer.Option("--format", help="CycloneDX 1.6, or SPDX 2.3.")] = BillFormat.CYCLONEDX,
    json: Json = False,
) -> None:
    """Print the bill of materials of an image: every package of Debian, Python and npm in it and in its base.

    Both formats are JSON. Equal images give equal bytes.
    """
    session: Session = ctx.obj
    with session.client() as client:
        session.out.write(client.bill(choose(client, image).digest, form))


def _tell(session: Session, image: "Image", said: "Provenance") -> None:
    from bleen.domain.provenance import short

    words = {key: value for key, value in said.source.items() if key != _PLAIN and isinstance(value, str) and value}
    source = ", ".join(f"{key} {value}" for key, value in words.items())
    base = said.base if said.base == "host" else short(said.base)
    session.say(f"{image.name} {image.version} may start")
    for line in (
        f"  bytes    {image.files:,} files, {image.size:,} bytes: each is what {short(image.digest)} says",
        f"  signed   by the key {short(said.key)}, which is trusted",
        f"  built    {said.built:%Y-%m-%d %H:%M:%S} UTC by {said.builder}, as {said.name} {said.version}",
        f"  from     {said.source.get(_PLAIN, 'a source')}: {source}",
        f"  lock     {short(said.lock)}, base {base}, runtime {said.runtime or 'none'}",
    ):
        session.say(line, " " * 11)
