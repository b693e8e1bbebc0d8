"""Fetches the console's libraries anew, unchanged, from npm: ``make vendor``. Refuses what is not what ``vendored.json`` says.

To take another version, change it there, run with ``--accept``, and look at what git shows.
"""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput

FOLDER = Path(__file__).parent / "static" / "vendor"
LIST = FOLDER / "vendored.json"


class File(Value, frozen=True):
    """One file as it is in the package."""

    inside: str
    """Its path there."""
    name: str
    """Its name here."""
    sha256: str


class Package(Value, frozen=True):
    """A package of npm, and the files of it that are here."""

    name: str
    version: str
    licence: str
    what: str
    """What it is for."""
    files: tuple[File, ...]


def vendored() -> tuple[Package, ...]:
    """Return what is here."""
    return msgspec.json.decode(LIST.read_bytes(), type=tuple[Package, ...])


def fetch(package: Package) -> dict[str, bytes]:
    """Return the package's files by the names that they have here, from npm."""
    with TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"{package.name}@{package.version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            read = {file.name: tar.extractfile(f"package/{file.inside}") for file in package.files}
            return {name: content.read() for name, content in read.items() if content is not None}


def digest(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str]) -> None:
    """Write every file, if it is the one that is listed."""
    packages = []
    for package in vendored():
        content = fetch(package)
        seen = tuple(msgspec.structs.replace(file, sha256=digest(content[file.name])) for file in package.files)
        if seen != package.files and "--accept" not in arguments:
            raise InvalidInput(
                f"{package.name} {package.version} is not what {LIST.name} says", next="look at it; then --accept"
            )
        for name, data in content.items():
            (FOLDER / name).write_bytes(data)
        packages.append(msgspec.structs.replace(package, files=seen))
    LIST.write_bytes(msgspec.json.format(msgspec.json.encode(packages), indent=2) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
