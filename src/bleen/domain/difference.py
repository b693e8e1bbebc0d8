"""What differs between two images: packages, files, and what has to move."""

from collections.abc import Sequence

from bleen.domain.base import Locked
from bleen.domain.codec import Value
from bleen.domain.image import Digest, File


class Changed(Value, frozen=True):
    """A package that both have, in two versions."""

    name: str
    before: str
    after: str


class Difference(Value, frozen=True):
    """From one image to another."""

    added: tuple[Locked, ...]
    removed: tuple[Locked, ...]
    changed: tuple[Changed, ...]
    """Packages of another version."""
    files_added: tuple[str, ...]
    files_removed: tuple[str, ...]
    files_changed: tuple[str, ...]
    moved: int
    """Bytes of files that only the second one has: what a machine that has the first must be given."""
    size_before: int
    size_after: int

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return self.moved == 0 and not (self.added or self.removed or self.changed or self.files_removed or self.files_changed)


class Contents(Value, frozen=True):
    """What an image holds, its base included."""

    files: tuple[File, ...]
    packages: tuple[Locked, ...]


def difference(before: Contents, after: Contents) -> Difference:
    """Return what is other in ``after``."""
    old, new = {p.name: p for p in before.packages}, {p.name: p for p in after.packages}
    old_files, new_files = {f.path: f for f in before.files}, {f.path: f for f in after.files}
    both = [path for path in new_files if path in old_files]
    return Difference(
        added=tuple(new[name] for name in sorted({*new} - {*old})),
        removed=tuple(old[name] for name in sorted({*old} - {*new})),
        changed=tuple(
            Changed(name, old[name].version, new[name].version)
            for name in sorted({*old} & {*new})
            if old[name].version != new[name].version
        ),
        files_added=tuple(sorted({*new_files} - {*old_files})),
        files_removed=tuple(sorted({*old_files} - {*new_files})),
        files_changed=tuple(sorted(path for path in both if _content(old_files[path]) != _content(new_files[path]))),
        moved=_moved(before.files, after.files),
        size_before=sum(file.size for file in before.files),
        size_after=sum(file.size for file in after.files),
    )


def _content(file: File) -> tuple[Digest, bool, str]:
    return file.digest, file.executable, file.link


def _moved(before: Sequence[File], after: Sequence[File]) -> int:
    """Return the bytes of blobs that are new: what has the same content elsewhere in the image does not move."""
    known = {file.digest for file in before}
    return sum({file.digest: file.size for file in after if file.digest not in known}.values())
