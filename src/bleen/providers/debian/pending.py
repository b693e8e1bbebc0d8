"""Fixes that the security suite has and an image has not: what is real of a mirror alone, and labelled so.

Fixes that nobody has made yet are not in it, and how bad each is neither: a changelog has no CVSS, what an upload was called
urgent is what there is.
"""

import asyncio
import gzip
import re
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from debian.changelog import Changelog, ChangelogParseError
from debian.debian_support import Version

from bleen.domain.base import Distributed, Lock, Locked
from bleen.domain.codec import digest_of
from bleen.domain.image import Digest
from bleen.domain.patching import Fix, Upload
from bleen.providers.debian.apt import Archive, Reach, archive_of
from bleen.providers.debian.index import Candidate, Packages, read_index
from bleen.providers.debian.locking import read_signed
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.package import open_package
from bleen.providers.debian.release import SignedIndex

Fetch = Callable[[MirrorClient, str, Locked], Awaitable[bytes]]
"""Returns a package, from a store or from its archive."""
Changes = tuple[tuple[Upload, str], ...]
"""The uploads that a package's changelog tells of, newest first, each with the suites that it was for."""
_FRESH = timedelta(minutes=1)
"""A suite that was asked so lately is not asked again: several services are deployed, and scanned, one after the other."""
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")


class SecuritySuite:
    """Asks the security suites of bases. What cannot change (an index by its digest, a changelog) is read once."""

    def __init__(self, reach: Reach, fetch: Fetch) -> None:
        self._reach = reach
        self._fetch = fetch
        self._signed: dict[Archive, tuple[datetime, SignedIndex]] = {}
        self._indexes: dict[Digest, list[Candidate]] = {}
        self._changes: dict[Digest, Changes] = {}

    async def find_fixes(self, base: Distributed, now: datetime) -> tuple[datetime, tuple[Fix, ...]]:
        """Return when the suite was signed, and what of it is not in the base, the longest pending first.

        Unreachable, NotFound and BuildFailed as for a build: what cannot be asked is not well.
        """
        recipe, lock = base.recipe, base.lock
        archive = archive_of(f"{recipe.suite}-security", recipe.mirror, Path(base.folder), self._reach.apt)
        async with MirrorClient(self._reach.patience) as client:
            signed, candidates = await self._read(client, archive, base, now)
            pending = _pending(lock, candidates)
            changes = [await self._read_changes(client, archive, candidate.locked) for _, candidate in pending]
        return signed, _fixes(pending, changes, recipe.suite, signed)

    async def _read(
        self, client: MirrorClient, archive: Archive, base: Distributed, now: datetime
    ) -> tuple[datetime, list[Candidate]]:
        signed = await self._read_signed(client, archive, now)
        # What is signed is signed again every few hours; what it lists may be the same.
        key = digest_of([signed.suite, signed.files, base.recipe.components, base.lock.architecture])
        known = self._indexes.get(key)
        if known is None:
            known = await read_index(client, archive, signed, base.recipe.components, base.lock.architecture)
            self._indexes = {key: known}
        return signed.date, known

    async def _read_signed(self, client: MirrorClient, archive: Archive, now: datetime) -> SignedIndex:
        asked, signed = self._signed.get(archive, (None, None))
        if asked is None or signed is None or not asked <= now < asked + _FRESH:
            signed = await read_signed(client, archive, now)
            self._signed[archive] = (now, signed)
        return signed

    async def _read_changes(self, client: MirrorClient, archive: Archive, locked: Locked) -> Changes:
        if locked.digest not in self._changes:
            data = await self._fetch(client, archive.address, locked)
            self._changes[locked.digest] = await asyncio.to_thread(_read_changes, data, locked)
        return self._changes[locked.digest]


def _pending(lock: Lock, candidates: list[Candidate]) -> list[tuple[Locked, Candidate]]:
    newest = Packages(candidates)
    found = [(installed, newest.find(installed.name)) for installed in lock.packages]
    return [(one, other) for one, other in found if other is not None and Version(one.version) < other.version]


def _fixes(
    pending: Sequence[tuple[Locked, Candidate]], changes: Sequence[Changes], suite: str, signed: datetime
) -> tuple[Fix, ...]:
    """Return the fixes. Packages of one source are fixed together, and only one of them may carry the changelog."""
    told: dict[str, Changes] = {}
    for (installed, _), each in zip(pending, changes, strict=True):
        newer = tuple((upload, suites) for upload, suites in each if _is_newer(upload, installed))
        told[installed.source] = max(told.get(installed.source, ()), newer, key=len)
    fixes = (_fix(installed, candidate, told[installed.source], suite, signed) for installed, candidate in pending)
    return tuple(sorted(fixes, key=lambda fix: (fix.since, fix.package)))


def _is_newer(upload: Upload, installed: Locked) -> bool:
    return Version(installed.source_version or installed.version) < Version(upload.version)


def _fix(installed: Locked, candidate: Candidate, newer: Changes, suite: str, signed: datetime) -> Fix:
    # Uploads for other suites came with a newer version as a whole, and were no fix here until then.
    since = min((upload.at for upload, suites in newer if suite in suites), default=signed)
    return Fix(
        package=installed.name,
        source=installed.source,
        installed=installed.version,
        fixed=str(candidate.version),
        since=since,
        uploads=tuple(upload for upload, _ in newer),
    )


def _read_changes(data: bytes, locked: Locked) -> Changes:
    """Return what the package's changelog tells; nothing where it has none."""
    names = {"changelog.Debian.gz", "changelog.gz", f"changelog.Debian.{locked.architecture}.gz"}
    for member in open_package(data, locked).members:
        if member.path.startswith("usr/share/doc/") and member.path.rpartition("/")[2] in names and not member.target:
            try:
                log = Changelog(gzip.decompress(member.data).decode("utf-8", "replace"))
            except (ChangelogParseError, OSError, EOFError, zlib.error):
                continue  # what is no changelog of Debian's kind tells nothing
            if found := tuple(_read_blocks(log)):
                return found
    return ()


def _read_blocks(log: Changelog) -> Iterator[tuple[Upload, str]]:
    for block in log:
        # Entries of the last century have dates in forms of their own.
        with suppress(ValueError):
            cves = sorted(set(_CVE.findall("\n".join(block.changes()))))
            date = parsedate_to_datetime(str(block.date))
            at = (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
            yield Upload(str(block.version), at, str(block.urgency or "").lower(), tuple(cves)), str(block.distributions)
