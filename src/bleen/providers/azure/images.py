"""The port `Images` on a gallery: built on this machine, started from versions of the gallery alone.

What a version of a gallery is cannot be read back: it is a disk. What is known of it is signed, and bound to it by its tags:
the digest of the image, and that of its signed provenance. Beside that is a manifest, whose digest is the image's own.

Bases are no versions: nothing starts from one alone, and they lie on the machine that builds. A version has that of its image.
"""

import asyncio
import os
import signal
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.compute.models import GalleryImageVersion

from bleen.domain.base import HOST, SCRATCH
from bleen.domain.codec import Value, decode, digest_of, encode
from bleen.domain.errors import BuildFailed, Conflict, ImageRejected, NotFound
from bleen.domain.image import Digest, File, Image, Source
from bleen.domain.provenance import Provenance, bare, rejected, short
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.site import Container
from bleen.providers.local.images.provider import LocalImages
from bleen.providers.local.images.store import Manifest, newest_first

_PARTS = 2**31 - 1
"""A version of a gallery has three parts, each a 32-bit integer."""

_SURE = 300.0
"""Seconds in which an image that was found is not looked for anew; `verify` always looks."""

_WORDS = 500
"""Characters of a command's output that an error repeats."""

_FAREWELL = 60.0
"""Seconds for a command that is told to end: Packer takes its machine down then, which would be paid for else."""


class Baking(Value, frozen=True):
    """What is to become a version: who bakes it puts the files of the image into a disk, and the tags onto the version."""

    image: str
    """The definition in the gallery: the name of the service."""
    version: str
    digest: Digest
    signature: Digest
    """Of the signed provenance, which is in storage already."""
    base: str
    """The digest of the base that the image stands on, which is among the ``parts``; or ``host``: it stands on the machine."""
    tree: str
    """The folder with the files of the image, on this machine."""
    home: str = ""
    """The home that has it, whose ``parts`` belong below one folder of the machine: its guest starts the image there."""
    parts: tuple[str, ...] = ()
    """Paths relative to ``home``: the files, what they are, what is signed of them, whose signatures count; of a base, too."""

    @property
    def tags(self) -> dict[str, str]:
        """The tags without which no instance starts from the version."""
        return {"digest": self.digest, "signature": self.signature}

    @property
    def marks(self) -> str:
        """The same for people."""
        return ", ".join(f"{name} = {value}" for name, value in self.tags.items())


Bake = Callable[[Baking], Awaitable[None]]
"""Makes a version, and returns when it is in the gallery; BuildFailed. One that is there already is left alone."""


class GalleryImages:
    """``bake`` makes versions: Packer does, in a pipeline or as a command of this machine; no part of Bleen makes disks."""

    def __init__(self, azure: Azure, gallery: Gallery, local: LocalImages, bake: Bake) -> None:
        self._azure = azure
        self._gallery = gallery
        self._local = local
        self._bake = bake
        self._blobs = azure.container(Container.IMAGES)
        self._locks: dict[Digest, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._seen: dict[Digest, tuple[Manifest, float]] = {}

    async def build(self, name: str, source: Source, folder: Path, base: str = HOST) -> Image:
        """See `bleen.ports.Images`. BuildFailed where the gallery has no such version, and nobody could make it."""
        return await self.publish(await self._local.build(name, source, folder, base))

    async def rebase(self, digest: Digest, base: Digest) -> Image:
        """See `bleen.ports.Images`."""
        return await self.publish(await self._local.rebase(digest, base))

    async def publish(self, image: Image) -> Image:
        """Have an image of this machine in the gallery; BuildFailed where it has no such version, and nobody could make it."""
        async with self._locks[image.digest]:
            if not await self.has(image):
                await self._publish(image)
        return image

    async def has(self, image: Image) -> bool:
        """Return whether nothing is left to do before instances start from ``image``."""
        if image.base == SCRATCH:
            return True
        try:
            await self._gallery.verify(await self._gallery.find(image.name, image.digest), image.digest)
            return (await self._manifest(image.digest)).image.digest == image.digest
        except (NotFound, ImageRejected):
            return False

    async def _publish(self, image: Image) -> None:
        """Write what is signed before the version: a version without it would be one that nobody may start from."""
        envelope = await self._local.envelope(image.digest)
        manifest = encode(await self._local.manifest(image.digest))
        with speaking("write the provenance of an image"):
            await self._blobs.upload_blob(f"{bare(image.digest)}.json", envelope, overwrite=True)
            await self._blobs.upload_blob(f"{bare(image.digest)}.manifest", manifest, overwrite=True)
        home, parts = self._local.parts(image.digest)
        baking = Baking(
            image=image.name,
            version=version_of(image.digest),
            digest=image.digest,
            signature=digest_of(envelope),
            base=image.base,
            tree=str(self._local.tree(image.digest)),
            home=str(home),
            parts=parts,
        )
        await self._ensure(image, baking)

    async def _ensure(self, image: Image, baking: Baking) -> None:
        version = await self._gallery.version(baking.image, baking.version)
        refusal = None
        if version is not None:
            await self._gallery.tag(version, baking.image, baking.tags)  # its disk never changes; its tags may have
        else:
            try:
                await self._bake(baking)
            except BuildFailed as error:  # also where somebody else made the version meanwhile
                refusal = error
        if not await self.has(image):
            raise refusal or BuildFailed(
                f"{image.name} was baked, and the gallery has no good version of it",
                why=f"it has no version {baking.version} with the tags {baking.marks}",
                next="look at what the command of BLEEN_AZURE_BAKE publishes",
            )

    async def _base(self, digest: Digest) -> Image | None:
        """Return the base image; None where it is none, or not on this machine."""
        try:
            image = await self._local.find(digest)
        except (NotFound, ImageRejected):
            return None
        return image if image.base == SCRATCH else None

    async def find(self, digest: Digest) -> Image:
        """See `bleen.ports.Images`."""
        return await self._base(digest) or (await self._there(digest)).image

    async def files(self, digest: Digest) -> Sequence[File]:
        """See `bleen.ports.Images`."""
        if await self._base(digest):
            return await self._local.files(digest)
        return (await self._there(digest)).content.files

    async def verify(self, digest: Digest) -> Provenance:
        """Return what is signed of the image; ImageRejected where version, provenance and manifest do not belong together.

        The bytes of a disk in the gallery cannot be read: that they are those of the image is the word of whoever baked it.
        """
        if await self._base(digest):
            return await self._local.verify(digest)
        said = await self._gallery.verify(await self._version(digest), digest)
        await self._manifest(digest)
        return said

    async def list(self) -> Sequence[Image]:
        """See `bleen.ports.Images`. What is no image of ours, or has lost its manifest, is left out."""
        digests = {(version.tags or {}).get("digest", "") async for _, version in self._versions()}
        found = [image for image in await self._local.list() if image.base == SCRATCH]
        for digest in digests - {""}:
            try:
                found.append((await self._manifest(digest)).image)
            except (NotFound, ImageRejected):
                continue
        return newest_first(found)

    async def remove(self, digest: Digest) -> None:
        """See `bleen.ports.Images`. Every version of the image goes, and what was signed of it."""
        if any(image.base == digest for image in await self.list()):
            raise Conflict(f"{short(digest)} is a base that others stand on", next="bleen image list")
        mine = [(name, each) async for name, each in self._versions() if (each.tags or {}).get("digest") == digest]
        for name, version in mine:
            await self._gallery.delete(version, name)
        for end in ("json", "manifest"):
            with speaking("forget the provenance of an image"):
                try:
                    await self._blobs.delete_blob(f"{bare(digest)}.{end}")
                except ResourceNotFoundError:
                    continue
        self._seen.pop(digest, None)
        await self._local.remove(digest)

    async def _versions(self) -> AsyncIterator[tuple[str, GalleryImageVersion]]:
        for name in await self._gallery.images():
            async for version in self._gallery.versions(name):
                yield name, version

    async def _there(self, digest: Digest) -> Manifest:
        """Return what an image is that the gallery has, or had a moment ago: people and consoles ask again and again."""
        seen, at = self._seen.get(digest, (None, 0.0))
        if seen is None or time.monotonic() - at > _SURE:
            await self._version(digest)
            seen = await self._manifest(digest)
            self._seen[digest] = (seen, time.monotonic())
        return seen

    async def _version(self, digest: Digest) -> GalleryImageVersion:
        """Return a version that is the image: of the definition that its manifest names, or else of any."""
        with suppress(NotFound, ImageRejected):
            return await self._gallery.find((await self._manifest(digest)).image.name, digest)
        async for _, version in self._versions():
            if (version.tags or {}).get("digest") == digest:
                return version
        next = "the image pipeline publishes it: bleen image build, and Packer"
        raise NotFound(f"there is no image {short(digest)} in the gallery", next=next)

    async def _manifest(self, digest: Digest) -> Manifest:
        with speaking("read what an image is"):
            try:
                data = await (await self._blobs.download_blob(f"{bare(digest)}.manifest")).readall()
            except ResourceNotFoundError:
                raise rejected(digest, "nobody says what is in it", f"storage has no {bare(digest)}.manifest") from None
        try:
            manifest: Manifest = decode(data, Manifest)
        except msgspec.MsgspecError as error:
            raise rejected(digest, "its manifest was changed", str(error)) from error
        if digest_of(manifest.content) != digest:
            raise rejected(digest, "its manifest was changed", "it describes another image")
        return manifest


def version_of(digest: Digest) -> str:
    """Return the version that an image has in the gallery: the same image can be published once, whoever is first."""
    hexadecimal = bare(digest)
    return ".".join(str(int(hexadecimal[k : k + 8], 16) % _PARTS) for k in (0, 8, 16))


class CommandBake:
    """Bakes by a command that gets a `Baking` as JSON on its standard input, such as a script around ``packer build``.

    Its ``patience``, in seconds, ends before the hour that the making of a release may take.
    """

    def __init__(self, command: Sequence[str], patience: float = 3000.0) -> None:
        self._command = tuple(command)
        self._patience = patience

    async def __call__(self, baking: Baking) -> None:
        """See `Bake`."""
        what = f"{baking.image} could not be baked"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
            )
        except OSError as error:
            why = f"cannot execute {self._command[0]!r}: {error.strerror}"
            raise BuildFailed(what, why=why, next="set BLEEN_AZURE_BAKE to another command") from error
        try:
            async with asyncio.timeout(self._patience):
                said, _ = await process.communicate(encode(baking))
        except TimeoutError:
            raise BuildFailed(what, why=f"not finished after {self._patience:.0f} s", next="try again") from None
        finally:
            if process.returncode is None:
                await _end(process)
        if process.returncode:
            words = said.decode(errors="replace").strip()[-_WORDS:]
            raise BuildFailed(what, why=f"exit {process.returncode}: {words}", next=f"run {self._command[0]} by hand")


async def _end(process: Process) -> None:
    """End a command and all that it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _FAREWELL)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def nobody(baking: Baking) -> None:
    """Bake nothing: the pipeline does."""
    beside = "" if baking.base == HOST else f", and its base {short(baking.base)} beside it"
    raise BuildFailed(
        f"no version of {baking.image} in the gallery has this image",
        why=f"it is to be version {baking.version}, with the tags {baking.marks}{beside}",
        next="have the image pipeline publish it, or set BLEEN_AZURE_BAKE to a command that does",
    )
