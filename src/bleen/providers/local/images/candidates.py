"""Candidates: what stages of builds made, kept under the hash of their inputs until an image is made of it.

::

    plans/<hex>.json        what is to be built, every input pinned
    candidates/<hex>/       what one stage made, put there in one step; `stage/` and `draft.json` where it is a whole image
    drafts/<hex>            which candidate has the content of that digest
    rules/<hex>.json        what a benchmark said of the system that an image was made of

Nothing here is an image: `Store.tree`, `verify` and `list` know none of it.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import structs

from bleen.domain.base import Benchmark, Distributed
from bleen.domain.codec import Value, decode, digest_of, encode
from bleen.domain.errors import NotFound
from bleen.domain.image import Digest
from bleen.domain.pipeline import Making
from bleen.providers.local.images import disk
from bleen.providers.local.images.store import Content, Label, Manifest, Store, newly
from bleen.providers.local.images.tree import list_files

KEPT = 16
"""Candidates that stay when they are no longer in use: those of the last few bases and applications that were built."""
_IN_USE = 3600.0
"""Seconds within which a candidate that was made, or found, is not swept: a build that was killed goes on sooner."""
RULES = "rules.json"
"""What a benchmark said of a whole system, beside its candidate; kept with the image, and no part of it."""
_STAGE, _DRAFT = "stage", "draft.json"


class Planned(Value, frozen=True):
    """What is kept of a plan."""

    making: Making
    key: Digest
    """The hash of everything that decides what is built: by it an image is recalled."""
    label: Label


class Candidates:
    """Keeps plans and candidates beside the images of ``store``. Its verbs block, and are safe against each other."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def plan(self, key: Digest) -> Planned:
        """Return what was planned; NotFound."""
        path = self._path("plans", key, ".json")
        try:
            planned: Planned = decode(path.read_bytes(), Planned)
        except (FileNotFoundError, msgspec.DecodeError) as error:
            raise NotFound("what was to be built is not known any more", next="build it again") from error
        os.utime(path)
        return planned

    def keep_plan(self, planned: Planned) -> Digest:
        """Return the key of the plan, kept from now on."""
        key = digest_of(planned)
        disk.write_whole(self._path("plans", key, ".json"), encode(planned))
        return key

    def find(self, key: Digest) -> Path | None:
        """Return the folder of a candidate, in use from now on; None where there is none."""
        folder = self._path("candidates", key)
        try:
            os.utime(folder)
        except FileNotFoundError:
            return None
        return folder

    def keep(self, work: Path, key: Digest) -> Path:
        """Make ``work``, which is used up, the candidate of ``key``, unless there is one."""
        folder = self._path("candidates", key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            work.rename(folder)
            disk.sync_folder(folder.parent)
        return folder

    def drop(self, key: Digest) -> None:
        """Forget a candidate."""
        folder = self._path("candidates", key)
        with suppress(FileNotFoundError):
            # Under another name first: half of a candidate must not be found.
            gone = folder.with_name(f".{folder.name}.{time.monotonic_ns()}")
            folder.rename(gone)
            disk.remove_tree(gone)

    def keep_image(self, work: Path, key: Digest, label: Label, runtime: str) -> Digest:
        """Make ``work``, whose ``stage`` is the whole tree of an image, the candidate of ``key``; return the image's digest."""
        content = Content(base=label.base, runtime=runtime, files=list_files(work / _STAGE))
        manifest = newly(label, content)
        (work / _DRAFT).write_bytes(encode(manifest))
        self.keep(work, key)
        digest = digest_of(manifest.content)
        disk.write_whole(self._path("drafts", digest), key.encode())
        return digest

    def image(self, key: Digest) -> Digest:
        """Return the digest of the candidate of a whole image; empty where there is none."""
        folder = self.find(key)
        try:
            return digest_of(_draft(folder).content) if folder else ""
        except (FileNotFoundError, msgspec.DecodeError):
            self.drop(key)
            return ""

    def draft(self, digest: Digest) -> tuple[Path, Manifest]:
        """Return the tree of the candidate that is to be the image ``digest``, and what it will be; NotFound."""
        try:
            key = self._path("drafts", digest).read_text()
            folder = self.find(key)
            if folder is not None:
                return folder / _STAGE, _draft(folder)
        except (OSError, msgspec.DecodeError):
            pass
        raise NotFound(f"there is no image {digest}, and none is being built", next="bleen image list")

    def rules(self, digest: Digest) -> Path | None:
        """Return where what a benchmark said of an image, or of a candidate, lies or should; None where none was asked.

        NotFound where there is neither.
        """
        source = self.described(digest).source
        if not isinstance(source, Distributed) or source.recipe.benchmark is Benchmark.NONE:
            return None
        kept = self._path("rules", digest, ".json")
        with suppress(NotFound):
            return kept if kept.exists() else self.draft(digest)[0].with_name(RULES)
        return kept

    def keep_rules(self, digest: Digest) -> None:
        """Keep what a benchmark said of a candidate that is published now."""
        found = self.draft(digest)[0].with_name(RULES)
        if found.exists():
            disk.write_whole(self._path("rules", digest, ".json"), found.read_bytes())

    def described(self, digest: Digest) -> Manifest:
        """Return what is known of an image, or of a candidate; NotFound."""
        try:
            return self._store.manifest(digest)
        except NotFound:
            return self.draft(digest)[1]

    def lend(self, digest: Digest, target: Path) -> bool:
        """Copy the tree of a candidate to ``target``, and return whether it still is what its digest says."""
        stage, manifest = self.draft(digest)
        disk.copy_folder(stage, target)
        return digest_of(structs.replace(manifest.content, files=list_files(target))) == digest

    def sweep(self) -> None:
        """Forget what nobody used for long, the oldest first; plans without a use; what was said of images that are gone."""
        for kind, most in (("candidates", KEPT), ("plans", 4 * KEPT), ("drafts", 4 * KEPT)):
            found = sorted(_aged(self._store.root / kind), reverse=True)
            for at, path in found[most:]:
                if time.time() - at > _IN_USE:
                    disk.remove_tree(path)
        for at, path in _aged(self._store.root / "rules"):
            if time.time() - at > _IN_USE and not (self._store.root / "manifests" / path.name).exists():
                path.unlink(missing_ok=True)

    def _path(self, kind: str, key: Digest, ending: str = "") -> Path:
        return self._store.root / kind / f"{key.removeprefix('sha256:')}{ending}"


def _draft(folder: Path) -> Manifest:
    manifest: Manifest = decode((folder / _DRAFT).read_bytes(), Manifest)
    return manifest


def _aged(folder: Path) -> list[tuple[float, Path]]:
    aged = []
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            aged.append((path.lstat().st_mtime, path))
    return aged
