"""Problems at the keys of a file."""

from collections.abc import Callable, Iterator

from msgspec import structs

from bleen.domain.service import Service
from bleen.interfaces.repository.document import Document, Items, Mapping, Node, locate
from bleen.interfaces.repository.problem import Problem, Severity

Path = tuple[str, ...]
"""Keys and places in lists, from the outside in: ``("strategy", "steps", "0")``."""


class Places:
    """Makes problems at keys."""

    def __init__(self, document: Document, root: Node) -> None:
        self.document = document
        self.root = root

    def error(self, steps: Path, what: str, why: str, instead: str) -> Problem:
        """Return what cannot work; at the nearest key above where there is none."""
        return self.document.problem(locate(self.root, *steps), what, why=why, instead=instead)

    def warning(self, steps: Path, what: str, why: str, instead: str) -> Problem:
        """Return what was hardly meant."""
        return structs.replace(self.error(steps, what, why, instead), severity=Severity.WARNING)

    def written(self, *steps: str) -> bool:
        """Return whether the file says something there, and does not leave it to its default."""
        place = self.root
        for step in steps:
            if isinstance(place, Mapping) and step in place.entries:
                place = place.entries[step].value
            elif isinstance(place, Items) and step.isdigit() and int(step) < len(place.items):
                place = place.items[int(step)]
            else:
                return False
        return True


Sense = Callable[[Places, Service], Iterator[Problem]]
"""One question about how keys fit together."""


def spelt(steps: Path) -> str:
    """Return ``strategy.steps[0].max``."""
    return "".join(f"[{s}]" if s.isdigit() else f".{s}" for s in steps).removeprefix(".")
