"""From a recipe to a lock: what the archive signed today, resolved once, pinned by hash."""

import asyncio
import platform
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from bleen.domain.base import Lock, Locked, Maker, Patches, Recipe, SuiteSeen
from bleen.domain.errors import BuildFailed
from bleen.providers.debian.apt import Archive, Reach, archive_of
from bleen.providers.debian.index import Candidate, Packages, read_index
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.release import SignedIndex, read_release
from bleen.providers.debian.resolve import depends, resolve

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LARGEST_RELEASE = 4 * 1024 * 1024
_BUSYBOX = "busybox-static"
"""The first process of an image that is booted before its publication."""


def architecture() -> str:
    """Return what the distribution calls this machine's processor; BuildFailed for one that no loader is known of."""
    found = _ARCHITECTURES.get(platform.machine())
    if found is None:
        raise BuildFailed(
            f"no base can be built for {platform.machine()}",
            why=f"this builder knows {', '.join(_ARCHITECTURES)}",
            next="base: host",
        )
    return found


def suites_of(recipe: Recipe) -> dict[str, str]:
    """Return the suites that a recipe draws from, each with its layer: ``base`` or ``patches``."""
    own = {recipe.suite: "base"}
    return own | {f"{recipe.suite}-security": "patches"} if recipe.patches is Patches.SECURITY else own


async def read_signed(client: MirrorClient, archive: Archive, now: datetime) -> SignedIndex:
    """Return what a suite signed."""
    data = await client.get(f"{archive.address}/dists/{archive.suite}/InRelease", LARGEST_RELEASE)
    return await asyncio.to_thread(read_release, data, archive, now)


async def read_suite(
    client: MirrorClient, archive: Archive, recipe: Recipe, processor: str, now: datetime
) -> tuple[SignedIndex, list[Candidate]]:
    """Return what a suite signed, and its packages."""
    signed = await read_signed(client, archive, now)
    return signed, await read_index(client, archive, signed, recipe.components, processor)


async def make_lock(recipe: Recipe, folder: Path, reach: Reach, now: datetime) -> Lock:
    """Return a lock of what the recipe's mirror, or this machine's own, has now.

    Unreachable where no mirror answers, NotFound where none is known, BuildFailed where one lies or lacks a package.
    """
    processor = architecture()
    archives = [archive_of(suite, recipe.mirror, folder, reach.apt) for suite in suites_of(recipe)]
    async with MirrorClient(reach.patience) as client:
        found = await asyncio.gather(*(read_suite(client, archive, recipe, processor, now) for archive in archives))
    chosen = await asyncio.to_thread(_resolved, recipe, [candidates for _, candidates in found])
    released = await asyncio.to_thread(_resolved, recipe, [found[0][1]]) if recipe.builder is Maker.FULL else []
    every = Packages(candidate for _, candidates in found for candidate in candidates)
    return Lock(
        asks=recipe.asks,
        architecture=processor,
        suites=tuple(SuiteSeen(name=signed.suite, date=signed.date, digest=signed.digest) for signed, _ in found),
        packages=tuple(chosen),
        released=tuple(locked for locked in released if locked not in chosen),
        boot=tuple(_booted_with(every, processor)) if recipe.boot else (),
    )


def _resolved(recipe: Recipe, indexes: Sequence[Sequence[Candidate]]) -> list[Locked]:
    """Return what a recipe needs of the packages in ``indexes``; a whole system has what the distribution calls essential."""
    packages = Packages(candidate for candidates in indexes for candidate in candidates)
    essential = recipe.essential or recipe.builder is Maker.FULL
    chosen = resolve(packages, recipe.packages, essential=essential, without=recipe.hardening.remove_packages)
    return [candidate.locked for candidate in chosen]


def _booted_with(packages: Packages, processor: str) -> Iterator[Locked]:
    """Yield the newest kernel for machines in a cloud, which its own package only depends on, and busybox."""
    newest = _needed(packages, f"linux-image-cloud-{processor}")
    kernel = next((one.name for group in depends(newest) for one in group if one.name.startswith("linux-image-")), newest.name)
    for name in (kernel, _BUSYBOX):
        yield _needed(packages, name).locked


def _needed(packages: Packages, name: str) -> Candidate:
    found = packages.find(name)
    if found is None:
        why, advice = "an image is booted with it, and no suite has it", "leave boot out of the recipe, or correct components"
        raise BuildFailed(f"there is no package {name}", why=why, next=advice)
    return found
