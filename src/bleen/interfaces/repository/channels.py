"""The file of channels, which ``BLEEN_CHANNELS`` names: where notices go."""

from pathlib import Path

from bleen.domain.channel import Channels, twice
from bleen.domain.codec import convert
from bleen.interfaces.repository.document import plain_value, read_document
from bleen.interfaces.repository.problem import InvalidFiles, Problem
from bleen.interfaces.repository.sense import line_of
from bleen.interfaces.repository.shape import mismatches

CHANNELS = Path("infrastructure/channels.yaml")


def load_channels(path: Path) -> Channels:
    """Return the channels of a file; InvalidFiles carries every problem."""
    found, problems = examine_channels(path)
    if found is None or problems:
        raise InvalidFiles(problems)
    return found


def examine_channels(path: Path) -> tuple[Channels | None, list[Problem]]:
    """Return the channels, if their file has the right shape, and every problem of it."""
    document = read_document(path)
    problems = [*document.problems, *mismatches(document, Channels)]
    if problems or document.root is None:
        return None, problems
    found: Channels = convert(plain_value(document.root), Channels)
    name = twice(found)
    if name:
        names = [channel.name for channel in found.channels]
        last = len(names) - 1 - names[::-1].index(name)
        what, why = f"two channels are called `{name}`", "a notice is tried again for each channel by its name"
        line = line_of(document, "channels", str(last), "name")
        problems.append(Problem(str(path), line, 1, what, why, f"name: {name}-2"))
    return found, problems
