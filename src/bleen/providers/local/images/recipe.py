"""What the builders of all sources have in common: first lock what goes in, then put it together."""

from pathlib import Path
from typing import Protocol

from bleen.domain.image import Digest
from bleen.providers.local.images.process import Shell


class Recipe(Protocol):
    """How one source becomes a tree."""

    @property
    def request(self) -> Digest:
        """What is asked for: of two equal requests at once, one is built, and the other waits."""

    async def gather(self, stage: Path, shell: Shell) -> Digest:
        """Collect, in ``stage`` or beside it, all that decides what is built, and return its digest."""

    async def assemble(self, stage: Path, shell: Shell) -> str:
        """Make ``stage`` the tree, of what was gathered alone, and return its runtime; may be empty."""
