"""The demo: the whole story in about a minute, on a platform of its own, with real services and real traffic."""

import asyncio
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from bleen.domain.errors import AlreadyRunning, BleenError
from bleen.interfaces.cli.acts import Report
from bleen.interfaces.cli.session import Session
from bleen.interfaces.cli.story import Story
from bleen.interfaces.cli.teller import Teller
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Platform
from bleen.settings import Ports, Settings


def tell_story(session: Session) -> int:
    """Run the demo; return 0 where everything went as it should, else 3."""
    platform = session.platform.at(_settings(session.settings))
    teller = Teller(session)
    with _alone(platform):
        try:
            report = _perform(platform, teller)
        finally:
            platform.down()
    if session.json:
        session.say_json(report.plain())
    else:
        teller.conclude(report)
    return 0 if report.ok else 3


def _perform(platform: Platform, teller: Teller) -> Report:
    teller.say("starting the platform: engine, database, gateway, controller")
    server = platform.up()
    with Client(server) as client:
        gateway = client.platform().gateway_port
        return asyncio.run(Story(client, gateway, teller).run())


def _settings(settings: Settings) -> Settings:
    """A home beside the user's own, and any free ports: the demo meets no platform that runs."""
    home = settings.path.with_name(f"{settings.path.name}-demo")
    environ = {"BLEEN_HOME": str(home), "XDG_RUNTIME_DIR": str(settings.runtime_path.parent)}
    from bleen.settings import read_settings

    return structs.replace(read_settings(environ), ports=Ports(gateway=0, api=0))


@contextmanager
def _alone(platform: Platform) -> Iterator[None]:
    """Begin with nothing but the images of the last demo, which need not be built again."""
    home = platform.settings.path
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning("a demo runs already", why=f"it works in {home}", next="wait for it to end") from None
        _end_the_last(platform)
        _clear(home)
        yield
        _clear(home)


def _end_the_last(platform: Platform) -> None:
    """A demo that was killed leaves its platform running."""
    if platform.settings.path.exists():
        try:
            platform.down()
        except BleenError as error:
            raise AlreadyRunning("an earlier demo could not be ended", why=error.what, next="try again") from error


def _clear(home: Path) -> None:
    for path in home.iterdir() if home.exists() else ():
        if path.is_dir() and path.name not in ("images", "logs"):
            shutil.rmtree(path)
        elif not path.is_dir() and path.name != "format":
            path.unlink()
