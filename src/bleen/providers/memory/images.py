"""Images in memory: for tests and dry runs. Nothing is fetched; what a source says is what the image holds."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from bleen.domain.base import HOST, Distributed
from bleen.domain.codec import Value, digest_of, encode, plain
from bleen.domain.errors import BuildFailed, Conflict, ImageRejected, NotFound, StorageFull
from bleen.domain.image import Archive, Digest, Directory, File, Image, Source
from bleen.domain.provenance import Provenance


class _Kept(Value, frozen=True):
    image: Image
    files: tuple[File, ...]
    source: Source | Distributed


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryImages:
    """Keeps the port `Images`. ``clock`` dates the images.

    Packages of an index hold one file that spells their source; folders and archives are read, for their digests alone.
    Failures are asked for: `fail_build`, `reject`, `fill`.
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._kept: dict[Digest, _Kept] = {}
        self._drafts: dict[Digest, _Kept] = {}
        self._failing: dict[str, str] = {}
        self._rejected: dict[Digest, str] = {}
        self._full = False

    def fail_build(self, version: str, why: str = "there is no such version") -> None:
        """Make every build of a source of ``version`` fail."""
        self._failing[version] = why

    def reject(self, digest: Digest, why: str = "its bytes are not those of its digest") -> None:
        """Make the image fail its verification until it is built again."""
        self._rejected[digest] = why

    def fill(self, full: bool = True) -> None:
        """Leave no room for another image, or make room again."""
        self._full = full

    async def build(self, name: str, source: Source, folder: Path, base: str = HOST) -> Image:
        return self.keep(self.prepare(name, source, folder, base))

    def prepare(self, name: str, source: Source, folder: Path, base: str = HOST) -> Image:
        """Return what the image of ``source`` would be: a candidate, not kept yet."""
        if base != HOST:
            self._find(base)
        if source.version in self._failing:
            raise BuildFailed(f"{name} {source.version} could not be built", why=self._failing[source.version])
        files = tuple(sorted(_files(source, folder), key=lambda file: file.path))
        return self.draft(name, source.version, files, base, source)

    async def rebase(self, digest: Digest, base: Digest) -> Image:
        return self.keep(await self.prepare_rebase(digest, base))

    async def prepare_rebase(self, digest: Digest, base: Digest) -> Image:
        """Return what `rebase` would make: a candidate, not kept yet."""
        await self.verify(digest)
        kept = self._find(digest)
        self._find(base)
        if not kept.image.base.startswith("sha256:"):
            raise BuildFailed(f"{kept.image.name} cannot be put on another base", why="it stands on none")
        return self.draft(kept.image.name, kept.image.version, kept.files, base, kept.source)

    def draft(self, name: str, version: str, files: tuple[File, ...], base: str, source: Source | Distributed) -> Image:
        """Return the candidate of ``files`` on ``base``, built from ``source``."""
        digest = digest_of(files if base == HOST else [files, base])
        kept = self._kept.get(digest) or _Kept(self._describe(name, version, digest, files, base), files, source)
        self._drafts[digest] = kept
        return structs.replace(kept.image, name=name, version=version or digest[7:19])

    def keep(self, candidate: Image) -> Image:
        """Make the candidate an image, and return it."""
        digest = candidate.digest
        if digest not in self._kept:
            if self._full:
                raise StorageFull("no room in memory", why="it was said to be full", next="remove an image, then try again")
            self._kept[digest] = self._drafts[digest]
        self._rejected.pop(digest, None)
        return candidate

    def described(self, digest: Digest) -> Image:
        """Return the image, or the candidate; NotFound."""
        return self._drafts[digest].image if digest in self._drafts else self._find(digest).image

    def _describe(self, name: str, version: str, digest: Digest, files: tuple[File, ...], base: str) -> Image:
        return Image(
            digest=digest,
            name=name,
            version=version or digest[7:19],
            created=self._clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            size=sum(file.size for file in files),
            files=len(files),
            base=base,
        )

    async def find(self, digest: Digest) -> Image:
        return self._find(digest).image

    async def files(self, digest: Digest) -> Sequence[File]:
        return self._find(digest).files

    async def verify(self, digest: Digest) -> Provenance:
        kept = self._find(digest)
        if kept.image.base.startswith("sha256:"):
            await self.verify(kept.image.base)
        if digest in self._rejected:
            raise ImageRejected(
                f"{kept.files[0].path} is not what it was",
                why=self._rejected[digest],
                next="bleen image build makes the image again, and mends it",
            )
        image = kept.image
        return Provenance(
            digest=digest,
            name=image.name,
            version=image.version,
            source=plain(kept.source),
            lock=digest_of(kept.source),
            base=image.base,
            runtime=image.runtime,
            built=datetime.fromisoformat(image.created),
            builder="urn:bleen:builder:memory",
            key=digest_of("memory"),
        )

    async def list(self) -> Sequence[Image]:
        images = (kept.image for kept in self._kept.values())
        return sorted(images, key=lambda image: (image.created, image.digest), reverse=True)

    async def remove(self, digest: Digest) -> None:
        standing = [kept.image for kept in self._kept.values() if kept.image.base == digest]
        if standing:
            raise Conflict(
                f"{digest[:19]} is the base of {len(standing)} images", why=standing[0].name, next="remove those first"
            )
        self._kept.pop(digest, None)
        self._rejected.pop(digest, None)

    def _find(self, digest: Digest) -> _Kept:
        if digest not in self._kept:
            raise NotFound(f"there is no image {digest}", next="bleen image list shows the images there are")
        return self._kept[digest]


def _files(source: Source, folder: Path) -> list[File]:
    """Return what an image of ``source`` holds; BuildFailed where its folder or archive is not there."""
    match source:
        case Directory(path):
            top = folder / path
            found = [(str(file.relative_to(top)), file.read_bytes()) for file in top.rglob("*") if file.is_file()]
        case Archive(path):
            found = [(path, (folder / path).read_bytes())] if (folder / path).is_file() else []
        case _:
            found = [("source.json", encode(source))]
    if not found:
        raise BuildFailed(f"there is nothing at {folder / getattr(source, 'path', '')}", next="correct image.path")
    return [File(path=path, digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data)) for path, data in found]
