"""A site in Azure, looked at from outside."""

from pathlib import Path
from typing import Annotated

import typer

from bleen.domain.errors import InvalidInput
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

app = typer.Typer(
    help="Look at a site in Azure; nothing here changes one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def azure() -> None:
    """Look at a site in Azure; nothing here changes one."""


@app.command(epilog=example("bleen azure smoke --site site.json"))
def smoke(
    ctx: Context,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site",
            metavar="FILE",
            dir_okay=False,
            help="What terraform output sites says of one region; default: $BLEEN_AZURE_SITE.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Read what Bleen relies on in a subscription, and say what that did not verify.

    Scale sets, quota, gallery, storage, gateways. Signed in as `az login` is, or as the machine's identity; nothing is
    written. Exit code 3 where something is wrong.
    """
    session: Session = ctx.obj
    named = site or (Path(session.settings.azure_site) if session.settings.azure_site else None)
    if named is None:
        raise InvalidInput("which site?", next="bleen azure smoke --site FILE, or set BLEEN_AZURE_SITE")
    report = session.platform.look_at_azure(named)
    good = all(finding.level == "good" for finding in report.findings)
    if session.json:
        session.say_json({"ok": good, "findings": report.findings, "not_verified": report.not_verified})
    else:
        for finding in report.findings:
            session.say(f"{finding.level:<8}{finding.name}: {finding.detail}", " " * 10)
            if finding.next:
                session.say(f"          next: {finding.next}", " " * 16)
        session.say("not verified:")
        for line in report.not_verified:
            session.say(f"  - {line}", "    ")
    raise typer.Exit(0 if good else 3)
