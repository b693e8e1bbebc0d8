"""The content-addressed store: what is published there is whole, is what its digest says, and never changes.

::

    blobs/sha256/ab/<hex>[.x]   the bytes of files, once; `.x` where executable
    trees/<hex>/                an image to run from: read-only, its files are links to blobs
    manifests/<hex>.json        what the image is: written last, so that an image without one does not exist
    recipes/<hex>.json          the image that a locked source became
    provenance/<hex>/           who says so: signed envelopes, written before the manifest
    locks/<hex>                 what sources without a lock of their own were resolved to
    packages/<hex>              packages of a distribution, as they were fetched, for the next build
    builders/<hex>.lock         held while one request is built
    work/<name>/                builds under way; each has a lock beside it that its builder, and its tools, hold
    plans, candidates, drafts   what stages made, and nobody published yet: `candidates.py`

Names are bare hex digits: a colon would end a folder in PATH.
"""

import errno
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import structs

from bleen import __version__
from bleen.domain.base import HOST, Distributed
from bleen.domain.codec import Value, decode, digest_of, encode
from bleen.domain.errors import BuildFailed, Conflict, ImageRejected, NotFound
from bleen.domain.image import Digest, File, Image, Source
from bleen.domain.provenance import Built, Provenance
from bleen.providers.local.images import disk, tree
from bleen.providers.local.images.keys import Keys
from bleen.providers.local.images.notary import Notary

FORMAT = 1


class Content(Value, frozen=True):
    """What the digest of an image covers. Names, versions and dates are for people, and are not in it."""

    base: str
    runtime: str
    files: tuple[File, ...]


class Manifest(Value, frozen=True):
    """What the store knows of an image."""

    name: str
    version: str
    created: str
    source: Source | Distributed
    """What it was first built from; a base: last."""
    lock: Digest
    """The digest of all that was built: the packages' lock, the files of the folder, the archive."""
    content: Content
    format: int = FORMAT

    @property
    def image(self) -> Image:
        return Image(
            digest=digest_of(self.content),
            name=self.name,
            version=self.version,
            created=self.created,
            size=sum(file.size for file in self.content.files),
            files=len(self.content.files),
            base=self.content.base,
            runtime=self.content.runtime,
        )


class Label(Value, frozen=True):
    """What people call an image, and where it came from."""

    name: str
    version: str
    source: Source | Distributed
    lock: Digest
    base: str = HOST
    """The digest of what it stands on, ``host``, or ``scratch``."""


class Workspace(Value, frozen=True):
    """A folder of one build, on the store's disk."""

    folder: str
    lock: int
    """The descriptor that keeps it from being swept."""

    @property
    def path(self) -> Path:
        return Path(self.folder)

    @property
    def stage(self) -> Path:
        """Where the tree is put together."""
        return self.path / "stage"


class Store:
    """Keeps images below ``root``. Its verbs block, and are safe against each other in any number of processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = root / "store.lock"
        self.notary = Notary(root / "provenance", Keys(root.parent / "keys"))
        self._read: dict[Digest, bytes] = {}
        """Trees that this process has read and found good, each with its fingerprint then."""

    def tree(self, digest: Digest) -> Path:
        """Return where the tree of the image is; NotFound."""
        folder = self.root / "trees" / _hex(digest)
        if not self._manifest_path(digest).is_file():
            raise _not_found(digest)
        return folder

    def manifest(self, digest: Digest) -> Manifest:
        """Return what is known of the image; NotFound, or ImageRejected where the record itself was changed."""
        try:
            data = self._manifest_path(digest).read_bytes()
        except FileNotFoundError as error:
            raise _not_found(digest) from error
        try:
            manifest: Manifest = decode(data, Manifest)
        except msgspec.DecodeError as error:
            raise _changed(digest, str(error)) from error
        if digest_of(manifest.content) != digest:
            raise _changed(digest, "it describes another image")
        return manifest

    def parts(self, digest: Digest) -> tuple[str, ...]:
        """Return what another home needs to verify the image and to run it, relative to this home; NotFound."""
        keys = self.root.parent / "keys"
        found = [self.tree(digest), self._manifest_path(digest), self.notary.folder / _hex(digest)]
        found += [keys / name for name in ("trusted", "revoked", "oldest.json") if (keys / name).exists()]
        base = self.manifest(digest).content.base
        below = self.parts(base) if base.startswith("sha256:") else ()
        return tuple(sorted({*below, *(str(path.relative_to(self.root.parent)) for path in found)}))

    def manifests(self) -> list[Manifest]:
        """Return what is known of every image, in no order."""
        paths = (self.root / "manifests").glob("[0-9a-f]*.json")
        found = []
        for path in paths:
            # One may be removed while the others are read.
            with suppress(NotFound):
                found.append(self.manifest(f"sha256:{path.stem}"))
        return found

    def check(self, digest: Digest) -> Manifest:
        """Return what is known of the image after reading all of it; ImageRejected names the file that is not what it was.

        This process reads a tree once: after that, again only where the file system says that something was touched.
        """
        manifest = self.manifest(digest)
        folder = self.root / "trees" / _hex(digest)
        if not folder.is_dir():
            raise ImageRejected(f"the tree of {digest} is gone", next="bleen image build makes the image again")
        before = tree.fingerprint(folder)
        if self._read.get(digest) != before:
            tree.check_tree(folder, manifest.content.files)
            self._read[digest] = before
        return manifest

    def verify(self, digest: Digest) -> Provenance:
        """Return what is signed of the image after reading all of it, and of the base that it stands on; ImageRejected."""
        base = self.check(digest).content.base
        if base.startswith("sha256:"):
            self.verify(base)
        return self.notary.examine(digest)

    def recall(self, lock: Digest) -> Manifest | None:
        """Return the image that ``lock`` became, every byte of it read; None where it must be built, or built again.

        Only a signature says which image that is: a note that was changed would have another image signed as this one.
        """
        path = self.root / "recipes" / f"{_hex(lock)}.json"
        try:
            digest: Digest = decode(path.read_bytes(), Digest)
            return self.check(digest) if self.notary.vouched(digest, lock) else None
        except (FileNotFoundError, NotFound, ImageRejected, msgspec.DecodeError):
            return None

    def publish(self, stage: Path, runtime: str, label: Label) -> Manifest:
        """Return the image whose tree is ``stage``, which is used up. Nothing is published unless all of it is."""
        files = tree.list_files(stage)
        if not files:
            raise BuildFailed(f"{label.name} {label.version} has no files", next="check the source in its service file")
        manifest = newly(label, Content(base=label.base, runtime=runtime, files=files))
        with disk.holding(self._lock):
            if label.base.startswith("sha256:"):
                self.tree(label.base)  # it may have been removed while this was built
            return self._publish(stage, manifest)

    def _publish(self, stage: Path, manifest: Manifest) -> Manifest:
        digest = digest_of(manifest.content)
        known = self._known(digest)
        if known is None or not self._is_sound(digest):
            try:
                self._seal(stage, manifest.content.files)
                self._place(stage, digest)
                self.notary.vouch(_built(manifest))
                disk.write_whole(self._manifest_path(digest), encode(known or manifest))
            except BaseException:
                self._collect()
                raise
        else:
            self.notary.vouch(_built(manifest))
        disk.write_whole(self.root / "recipes" / f"{_hex(manifest.lock)}.json", encode(digest))
        return known or manifest

    def attribute(self, digest: Digest, source: Distributed) -> Manifest:
        """Say from what the image was built last: from that it is built anew."""
        with disk.holding(self._lock):
            manifest = structs.replace(self.manifest(digest), source=source)
            disk.write_whole(self._manifest_path(digest), encode(manifest))
        return manifest

    def _known(self, digest: Digest) -> Manifest | None:
        """Return the record of the image, which a repair keeps; None where there is none to be read."""
        try:
            return self.manifest(digest)
        except (NotFound, ImageRejected):
            return None

    def _is_sound(self, digest: Digest) -> bool:
        try:
            self.check(digest)
        except ImageRejected:
            return False
        return True

    def _seal(self, stage: Path, files: Sequence[File]) -> None:
        """Make the files of ``stage`` read-only links to blobs, and its folders read-only."""
        for file in files:
            if not file.link:
                (stage / file.path).chmod(tree.EXECUTABLE if file.executable else tree.PLAIN)
                self._share(stage / file.path, file)
        kept = {str(parent) for file in files for parent in Path(file.path).parents}
        for path, entry in sorted(tree.walk(stage), reverse=True, key=lambda found: found[0]):
            if entry.is_dir(follow_symlinks=False):
                (stage / path).chmod(0o555) if path in kept else (stage / path).rmdir()

    def _share(self, path: Path, file: File) -> None:
        """Make ``path`` and its blob one file. A blob that is not what its name says any more is replaced."""
        blob = self._blob(file)
        if blob.is_file() and blob.stat().st_mode == path.stat().st_mode and tree.hash_file(blob) == file.digest:
            path.unlink()
            source, target = blob, path
        else:
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.unlink(missing_ok=True)
            source, target = path, blob
        try:
            target.hardlink_to(source)
        except OSError as error:
            # A file system allows one file so many names, or only one; every empty `__init__.py` takes one.
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
                raise
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)

    def _place(self, stage: Path, digest: Digest) -> None:
        """Put the tree in its place in one step; a damaged one steps aside first."""
        target = self.root / "trees" / _hex(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            # Only an owner who may write it can move a folder.
            target.chmod(0o755)
            target.rename(stage.with_name("damaged"))
        stage.rename(target)
        target.chmod(0o555)
        disk.sync_folder(target.parent)

    def remove(self, digest: Digest) -> None:
        """Forget the image, and the blobs that no other has."""
        with disk.holding(self._lock):
            if not self._manifest_path(digest).is_file():
                return
            self._refuse_base(digest)
            work = self._open_workspace()
            try:
                self._manifest_path(digest).unlink()
                self.notary.forget(digest)
                self._collect()
                self._collect_packages()
            finally:
                self._close_workspace(work)

    def _refuse_base(self, digest: Digest) -> None:
        standing = [manifest for manifest in self.manifests() if manifest.content.base == digest]
        if standing:
            raise stands(digest, [manifest.image for manifest in standing])

    def _collect(self) -> None:
        """Remove what no manifest names. The caller holds the store's lock, so nothing is about to be named."""
        try:
            known = self.manifests()
        except ImageRejected:
            # What a damaged manifest names is unknown: keep everything until its image is built again or removed.
            return
        named = {self._blob(file) for manifest in known for file in manifest.content.files if not file.link}
        digests = {digest_of(manifest.content) for manifest in known}
        for folder in (self.root / "trees").glob("*"):
            if f"sha256:{folder.name}" not in digests:
                disk.remove_tree(folder)
        for blob in (self.root / "blobs").glob("sha256/*/*"):
            if blob not in named:
                blob.unlink()
        for recipe in (self.root / "recipes").glob("*.json"):
            if decode(recipe.read_bytes(), Digest) not in digests:
                recipe.unlink()

    def _collect_packages(self) -> None:
        """Remove packages that no base has. Not with the rest: a build that was killed finds here what it had fetched."""
        sources = [manifest.source for manifest in self.manifests()]
        locked = {package.digest for one in sources if isinstance(one, Distributed) for package in one.lock.packages}
        for package in (self.root / "packages").glob("[0-9a-f]*"):
            if f"sha256:{package.name}" not in locked:
                package.unlink()

    def sweep(self) -> int:
        """Remove what killed builds left, and return how many there were."""
        with disk.holding(self._lock):
            left = [path for path in (self.root / "work").glob("*.lock") if self._remove_left(path)]
            if left:
                self._collect()
            return len(left)

    def _remove_left(self, lock: Path) -> bool:
        descriptor = disk.hold(lock)
        if descriptor is None:
            return False
        self._close_workspace(Workspace(str(lock.with_suffix("")), descriptor))
        return True

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[Workspace]:
        """Lend a folder for one build, and remove it after."""
        # Kept in a list, because a caller that is cancelled while the thread opens it never sees what it returns.
        opened: list[Workspace] = []
        try:
            await disk.in_thread(self._lend_workspace, opened)
            yield opened[0]
        finally:
            for work in opened:
                await disk.in_thread(self._close_workspace, work)

    def _lend_workspace(self, opened: list[Workspace]) -> None:
        # Under the store's lock: a sweep must not find the lock's file before it is held.
        with disk.holding(self._lock):
            opened.append(self._open_workspace())

    def _open_workspace(self) -> Workspace:
        folder = self.root / "work" / secrets.token_hex(8)
        lock = disk.hold(folder.with_suffix(".lock"))
        if lock is None:
            raise FileExistsError(folder)
        try:
            (folder / "stage").mkdir(parents=True)
        except BaseException:
            os.close(lock)
            folder.with_suffix(".lock").unlink()
            raise
        return Workspace(str(folder), lock)

    def _close_workspace(self, work: Workspace) -> None:
        try:
            disk.remove_tree(work.path)
            work.path.with_suffix(".lock").unlink(missing_ok=True)
        finally:
            os.close(work.lock)

    def cached_package(self, digest: Digest) -> bytes | None:
        """Return the package as it was fetched; None where it must be fetched, or fetched again."""
        try:
            data = self._package_path(digest).read_bytes()
        except FileNotFoundError:
            return None
        return data if digest_of(data) == digest else None

    def has_package(self, digest: Digest, size: int) -> bool:
        """Return whether the package was fetched; its bytes are checked by who opens it."""
        try:
            return self._package_path(digest).stat().st_size == size
        except FileNotFoundError:
            return False

    def keep_package(self, digest: Digest, data: bytes) -> None:
        """Keep a package, so that a build that is killed need not fetch it again."""
        disk.write_whole(self._package_path(digest), data)

    def builder_lock(self, request: Digest) -> Path:
        """Return what a builder holds, so that one request is built once."""
        return self.root / "builders" / f"{_hex(request)}.lock"

    def _blob(self, file: File) -> Path:
        digits = _hex(file.digest)
        return self.root / "blobs" / "sha256" / digits[:2] / (f"{digits}.x" if file.executable else digits)

    def _package_path(self, digest: Digest) -> Path:
        return self.root / "packages" / _hex(digest)

    def _manifest_path(self, digest: Digest) -> Path:
        return self.root / "manifests" / f"{_hex(digest)}.json"


def stands(digest: Digest, on_it: Sequence[Image]) -> Conflict:
    """Return the error of removing a base that other images stand on."""
    names = ", ".join(f"{image.name} {image.version}" for image in on_it[:3]) + (", ..." if len(on_it) > 3 else "")
    return Conflict(f"{digest[:19]} is the base of {len(on_it)} images", why=names, next="remove those first")


def newest_first(images: Iterable[Image]) -> Sequence[Image]:
    """Return the images in the order of the port."""
    return sorted(images, key=lambda image: (image.created, image.digest), reverse=True)


def newly(label: Label, content: Content) -> Manifest:
    """Return the record of an image that is made now."""
    created = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return Manifest(label.name, label.version, created, label.source, label.lock, content)


def _built(manifest: Manifest) -> Built:
    """Return what there is to sign of an image that was built at this moment: nothing of where that was."""
    source = manifest.source
    if isinstance(source, Distributed):
        source = structs.replace(source, folder="")
    return Built(
        digest=digest_of(manifest.content),
        name=manifest.name,
        version=manifest.version,
        source=source,
        lock=manifest.lock,
        base=manifest.content.base,
        runtime=manifest.content.runtime,
        at=datetime.now(UTC),
        by=__version__,
    )


def _hex(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def _not_found(digest: Digest) -> NotFound:
    return NotFound(f"there is no image {digest}", next="bleen image list shows the images there are")


def _changed(digest: Digest, why: str) -> ImageRejected:
    return ImageRejected(
        f"the manifest of {digest} is not what it was", why=why, next="bleen image build makes the image again"
    )
