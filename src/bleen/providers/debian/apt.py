"""What the machine's own apt is told: which archive has which suite, and whose signature counts for it."""

import re
from collections.abc import Iterator
from pathlib import Path

from debian.deb822 import Deb822

from bleen.domain.base import Mirror
from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput, NotFound

MACHINE = Path("/etc/apt")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<address>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
_SIGNED_BY = re.compile(r"signed-by=(\S+)")


class Reach(Value, frozen=True):
    """How packages are got on this machine."""

    apt: Path = MACHINE
    """The folder of apt's configuration."""
    patience: float = 30.0
    """Seconds without a byte after which a mirror counts as silent."""


class Archive(Value, frozen=True):
    """Where one suite is, and what its signature is checked with."""

    address: str
    suite: str
    keyrings: tuple[Path, ...] = ()
    certificates: str = ""
    """Armored, where the certificate stands in the file itself."""

    def read_keyring(self) -> bytes:
        """Return the certificates that may sign; InvalidInput where there are none to be read."""
        if self.certificates:
            return self.certificates.encode()
        if not self.keyrings:
            raise InvalidInput(
                f"nobody is trusted to sign {self.suite}", next="install debian-archive-keyring, or name a keyring"
            )
        try:
            return b"".join(_plain_keyring(path) for path in self.keyrings)
        except OSError as error:
            raise InvalidInput(
                f"the keyring {error.filename} cannot be read",
                why=(error.strerror or str(error)).lower(),
                next="install debian-archive-keyring, or correct mirror.keyring in the recipe",
            ) from error


def archive_of(suite: str, mirror: Mirror | None, folder: Path, apt: Path = MACHINE) -> Archive:
    """Return where ``suite`` is: at the recipe's mirror, or where this machine's apt finds it; NotFound."""
    if mirror is None:
        return _machine_archive(suite, apt)
    address = mirror.security if mirror.security and suite.endswith("-security") else mirror.address
    keyrings = (folder / mirror.keyring,) if mirror.keyring else _trusted(apt)
    return Archive(address=address.rstrip("/"), suite=suite, keyrings=keyrings)


def _machine_archive(suite: str, apt: Path) -> Archive:
    for found in _machine_archives(apt):
        if found.suite == suite and found.address.startswith(("http://", "https://")):
            return found
    raise NotFound(
        f"this machine knows no archive of {suite}",
        why=f"no file in {apt} names one that is reached by http",
        next="write mirror: {address: ..., keyring: ...} in the recipe",
    )


def _machine_archives(apt: Path) -> Iterator[Archive]:
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for paragraph in Deb822.iter_paragraphs(path.read_text("utf-8", "replace"), use_apt_pkg=False):
            yield from _paragraph(paragraph, apt)
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))):
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
            if found := _ONE_LINE.match(line.split("#")[0].strip()):
                signer = _SIGNED_BY.search(found["options"] or "")
                keyrings = tuple(map(Path, signer[1].split(","))) if signer else _trusted(apt)
                yield Archive(address=found["address"].rstrip("/"), suite=found["suite"], keyrings=keyrings)


def _paragraph(paragraph: Deb822, apt: Path) -> Iterator[Archive]:
    if paragraph.get("Enabled", "yes").lower() in ("no", "false") or "deb" not in paragraph.get("Types", "").split():
        return
    signer = paragraph.get("Signed-By", "")
    inline = "-----BEGIN" in signer
    keyrings = () if inline else tuple(map(Path, re.split(r"[,\s]+", signer.strip()))) if signer.strip() else _trusted(apt)
    # In such a file an empty line of the certificate is a lone dot.
    certificates = re.sub(r"(?m)^ ?\.?", "", signer).strip() + "\n" if inline else ""
    for address in paragraph.get("URIs", "").split():
        for suite in paragraph.get("Suites", "").split():
            yield Archive(address=address.rstrip("/"), suite=suite, keyrings=keyrings, certificates=certificates)


def _trusted(apt: Path) -> tuple[Path, ...]:
    """Return the keyrings that apt trusts for any archive."""
    folder = apt / "trusted.gpg.d"
    return tuple(sorted(path for path in folder.glob("*") if path.suffix in (".gpg", ".asc"))) if folder.is_dir() else ()


def _plain_keyring(path: Path) -> bytes:
    return path.read_bytes() + (b"\n" if path.suffix == ".asc" else b"")
