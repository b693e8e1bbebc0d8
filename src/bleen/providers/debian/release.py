"""The signed index of a suite, ``InRelease``: the root of all trust in packages."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pysequoia
from debian.deb822 import Deb822

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import BuildFailed
from bleen.domain.image import Digest
from bleen.providers.debian.apt import Archive

_EXTRA = re.compile(r"^ ([0-9a-f]{64})\s+(\d+)\s+(\S+)$", re.MULTILINE)


class Listed(Value, frozen=True):
    """A file that a signed index names."""

    digest: Digest
    size: int


class SignedIndex(Value, frozen=True):
    """What the archive signed of a suite."""

    suite: str
    date: datetime
    digest: Digest
    files: dict[str, Listed]
    by_hash: bool
    """Whether files can be asked for by their digest, so that an update in between does no harm."""


def read_release(data: bytes, archive: Archive, now: datetime) -> SignedIndex:
    """Return the index; BuildFailed where no trusted signature covers it, it is another suite's, or too old to believe."""
    fields = Deb822(_signed_part(data, archive))
    names = {fields.get("Suite", ""), fields.get("Codename", "")}
    if archive.suite not in names:
        raise _lies(archive, f"what it signed is {' or '.join(sorted(names - {''})) or 'nameless'}")
    date = _date(fields, "Date", archive)
    if "Valid-Until" in fields and _date(fields, "Valid-Until", archive) < now:
        raise BuildFailed(
            f"the index of {archive.suite} has expired",
            why=f"it was valid until {fields['Valid-Until']}: the mirror is no longer updated, or holds back fixes",
            next="use another mirror, or check the clock of this machine",
        )
    files = {name: Listed(f"sha256:{digest}", int(size)) for digest, size, name in _EXTRA.findall(fields.get("SHA256", ""))}
    by_hash = fields.get("Acquire-By-Hash", "no").lower() == "yes"
    return SignedIndex(suite=archive.suite, date=date, digest=digest_of(data), files=files, by_hash=by_hash)


def _signed_part(data: bytes, archive: Archive) -> str:
    """Return the text that a trusted signature covers, and nothing around it."""
    try:
        certificates = pysequoia.Cert.split_bytes(archive.read_keyring())
        verified = pysequoia.verify(data, store=lambda _: certificates)
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise BuildFailed(
            f"the index of {archive.suite} is not signed by anyone that is trusted",
            why=first.rstrip("."),
            next="check the keyring, and whether something on the way to the mirror changes what it says",
        ) from error
    return bytes(verified.bytes or b"").decode("utf-8", "replace")


def _date(fields: Deb822, name: str, archive: Archive) -> datetime:
    try:
        date = parsedate_to_datetime(fields[name])
    except (KeyError, ValueError) as error:
        raise _lies(archive, f"its {name} is no date") from error
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _lies(archive: Archive, why: str) -> BuildFailed:
    return BuildFailed(f"the mirror does not serve {archive.suite}", why=why, next="correct mirror.address in the recipe")
