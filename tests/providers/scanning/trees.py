"""Small trees, as images have them: packages of Python, npm and Debian, and images that stand on each other."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from bleen.domain.codec import digest_of
from bleen.domain.errors import NotFound
from bleen.domain.image import Digest, Image


def add_python(tree: Path, name: str, version: str, *lines: str) -> None:
    """Install a Python package where Bleen has them."""
    folder = tree / ".runtime/lib" / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, "", "x"])
    )


def add_npm(tree: Path, name: str, version: str, **more: object) -> Path:
    """Install an npm package."""
    folder = tree / "node_modules" / name
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version, **more}))
    return folder


def add_debian(tree: Path, *packages: tuple[str, str, str]) -> None:
    """Install Debian packages: name, version, and what stands behind `Source:`."""
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/os-release").write_text('NAME="Debian"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
    (tree / "var/lib/dpkg").mkdir(parents=True)
    paragraphs = [
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        + (f"Source: {source}\n" if source else "")
        + "Description: something\n more of it\n"
        for name, version, source in packages
    ]
    (tree / "var/lib/dpkg/status").write_text("\n".join(paragraphs))


@dataclass
class Shelf:
    """Images that are nothing but folders."""

    folder: Path
    images: dict[Digest, Image] = field(default_factory=dict)

    def add(self, name: str, base: str = "host") -> tuple[Image, Path]:
        """Return a new image, and its tree to be filled."""
        image = Image(digest_of(name), name, "1.0", "2026-01-01T00:00:00Z", 0, 0, base)
        self.images[image.digest] = image
        self.tree(image.digest).mkdir()
        return image, self.tree(image.digest)

    async def find(self, digest: Digest) -> Image:
        if digest not in self.images:
            raise NotFound(f"there is no image {digest}")
        return self.images[digest]

    def tree(self, digest: Digest) -> Path:
        return self.folder / digest.removeprefix("sha256:")[:12]
