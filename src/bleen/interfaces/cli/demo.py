"""The demo: the whole story in about a minute."""

from bleen.domain.errors import NothingToDo
from bleen.interfaces.cli.session import Session


def tell_story(session: Session) -> int:
    """Run the demo; return the exit code."""
    raise NothingToDo("the demo is not there yet", next=f"bleen up (in {session.settings.home})")
