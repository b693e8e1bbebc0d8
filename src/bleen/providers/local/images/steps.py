"""How one plan is carried out: its stages, and the hash of what goes into each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bleen.domain.base import HOST
from bleen.domain.codec import digest_of
from bleen.domain.image import Digest
from bleen.domain.pipeline import OfApplication, OfMove
from bleen.providers.local.images import disk
from bleen.providers.local.images.candidates import Candidates, Planned
from bleen.providers.local.images.provider import LocalImages, check_runtime
from bleen.providers.local.images.store import Store, Workspace
from bleen.providers.local.images.tree import copy_tree

APPLICATION = "application"


class Spoiled(Exception):
    """What an earlier stage, its argument, made is not there any more: that stage is to be carried out again."""


class Steps(Protocol):
    """The stages of one plan."""

    @property
    def names(self) -> tuple[str, ...]:
        """The stages in order."""

    @property
    def whole(self) -> str:
        """The stage that makes the whole tree of an image; one that follows it only looks."""

    def key(self, stage: str) -> Digest:
        """Return the hash of the inputs of ``stage``, those of the stages before it included: its candidate's key."""

    async def done(self, stage: str) -> bool:
        """Return whether its candidate is there."""

    async def carry_out(self, stage: str, work: Workspace) -> str:
        """Make the candidate of ``stage`` of ``work``, and return what that did, in words. Spoiled names an earlier stage."""


def gathered(key: Digest) -> Digest:
    """Return the key of what was gathered of an application."""
    return digest_of({"gathered": key})


@dataclass(frozen=True)
class ApplicationSteps:
    """One stage: what was gathered is put together, by the tools of its language."""

    images: LocalImages
    candidates: Candidates
    planned: Planned
    making: OfApplication
    names: tuple[str, ...] = (APPLICATION,)
    whole: str = APPLICATION

    def key(self, stage: str) -> Digest:
        return digest_of({stage: self.planned.key})

    async def done(self, stage: str) -> bool:
        return bool(await disk.in_thread(self.candidates.image, self.key(stage)))

    async def carry_out(self, stage: str, work: Workspace) -> str:
        making = self.making
        inputs = await disk.in_thread(self.candidates.find, gathered(self.planned.key))
        if inputs is None:
            raise Spoiled("what was gathered")
        await disk.in_thread(disk.copy_folder, inputs, work.path)
        runtime = await self.images.recipe(making.source, Path(making.folder)).assemble(
            work.stage, await self.images.shell(work, making.base)
        )
        if making.base != HOST:
            check_runtime(making.name, runtime, await self.images.find(making.base))
        return await _kept(self, work, runtime)


@dataclass(frozen=True)
class MoveSteps:
    """One stage: the files of an application, as they are, are put on another base."""

    store: Store
    candidates: Candidates
    planned: Planned
    making: OfMove
    names: tuple[str, ...] = (APPLICATION,)
    whole: str = APPLICATION

    def key(self, stage: str) -> Digest:
        return digest_of({stage: self.planned.key})

    async def done(self, stage: str) -> bool:
        return bool(await disk.in_thread(self.candidates.image, self.key(stage)))

    async def carry_out(self, stage: str, work: Workspace) -> str:
        before = await disk.in_thread(self.store.manifest, self.making.digest)
        await disk.in_thread(copy_tree, self.store.tree(self.making.digest), work.stage, before.content.files)
        return await _kept(self, work, before.content.runtime)


async def _kept(steps: ApplicationSteps | MoveSteps, work: Workspace, runtime: str) -> str:
    label = steps.planned.label
    candidates, key = steps.candidates, steps.key(APPLICATION)
    digest = await disk.in_thread(candidates.keep_image, work.path, key, label, runtime)
    image = (await disk.in_thread(candidates.described, digest)).image
    return f"{label.name} {label.version}: {image.files:,} files, {image.size / 1e6:.1f} MB: {digest[:19]}"
