"""Fixes that the security suite has and an image has not: what is real of a mirror alone, and labelled so.

Fixes that nobody has made yet are not in it, and how bad each is neither.
"""

import gzip
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from debian.changelog import Changelog, ChangelogParseError
from debian.debian_support import Version

from bleen.domain.base import Distributed, Lock, Locked
from bleen.domain.patching import Fix
from bleen.providers.debian.apt import Reach, archive_of
from bleen.providers.debian.index import Candidate, Packages
from bleen.providers.debian.locking import read_suite
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.package import open_package

Fetch = Callable[[MirrorClient, str, Locked], Awaitable[bytes]]
"""Returns a package, from a store or from its archive."""


async def find_fixes(base: Distributed, reach: Reach, fetch: Fetch, now: datetime) -> tuple[datetime, tuple[Fix, ...]]:
    """Return when the security suite was signed, and what of it is not in the base, the longest pending first.

    Unreachable, NotFound and BuildFailed as for a build: what cannot be asked is not well.
    """
    recipe, lock = base.recipe, base.lock
    archive = archive_of(f"{recipe.suite}-security", recipe.mirror, Path(base.folder), reach.apt)
    async with MirrorClient(reach.patience) as client:
        signed, candidates = await read_suite(client, archive, recipe, lock.architecture, now)
        pending = _pending(lock, Packages(candidates))
        written: dict[str, datetime] = {}
        for installed, candidate in pending:
            data = await fetch(client, archive.address, candidate.locked)
            date = _written(data, candidate.locked, installed.version, recipe.suite)
            # Several packages of one source are fixed together, and only one of them may carry the changelog.
            if date is not None:
                written[installed.source] = min(date, written.get(installed.source, date))
    fixes = (_fix(installed, candidate, written.get(installed.source, signed.date)) for installed, candidate in pending)
    return signed.date, tuple(sorted(fixes, key=lambda fix: (fix.since, fix.package)))


def _pending(lock: Lock, newest: Packages) -> list[tuple[Locked, Candidate]]:
    found = [(installed, newest.find(installed.name)) for installed in lock.packages]
    return [(one, other) for one, other in found if other is not None and Version(one.version) < other.version]


def _fix(installed: Locked, candidate: Candidate, since: datetime) -> Fix:
    return Fix(
        package=installed.name,
        source=installed.source,
        installed=installed.version,
        fixed=str(candidate.version),
        since=since,
    )


def _written(data: bytes, locked: Locked, installed: str, suite: str) -> datetime | None:
    """Return when the oldest version for ``suite`` after ``installed`` was written; None where its changelog does not tell."""
    names = {"changelog.Debian.gz", "changelog.gz", f"changelog.Debian.{locked.architecture}.gz"}
    for member in open_package(data, locked).members:
        if member.path.startswith("usr/share/doc/") and member.path.rpartition("/")[2] in names and not member.target:
            try:
                log = Changelog(gzip.decompress(member.data).decode("utf-8", "replace"))
                if found := _oldest(log, Version(installed), suite):
                    return found
            except (ChangelogParseError, OSError, EOFError, zlib.error, ValueError):
                continue  # what is no changelog of Debian's kind tells nothing
    return None


def _oldest(log: Changelog, installed: Version, suite: str) -> datetime | None:
    """Return the date of the oldest entry that is newer than ``installed``; entries are newest first.

    Those of other suites came with a newer version as a whole, and were no fix here until then.
    """
    oldest = None
    for block in log:
        if not installed < block.version:
            break
        if suite in str(block.distributions):
            oldest = _date(str(block.date)) or oldest
    return oldest


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
