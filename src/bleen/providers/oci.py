"""Writes images as an OCI image layout (image-spec 1.1): what other tools read, push and run."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bleen.domain.base import Exported
from bleen.domain.codec import Value
from bleen.domain.errors import Conflict
from bleen.domain.image import File

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_OWN = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755, "tmp": 0o1777}
"""What a runtime mounts on, and no package has."""


@dataclass(frozen=True)
class Layer:
    """Files of one layer: ``files`` of ``tree``, below ``top`` in the image."""

    name: str
    tree: Path
    files: Sequence[File]
    top: str = ""
    system: bool = False
    """Whether it is the lowest layer of a whole system, and brings the folders that runtimes mount on."""


class Described(Value, frozen=True):
    """What is said of the image, besides its files."""

    name: str
    version: str
    created: str
    architecture: str
    env: Mapping[str, str]
    annotations: Mapping[str, str]


class _Blob(Value, frozen=True):
    digest: str
    size: int
    media: str
    diff: str = ""
    """The digest of the layer before it was compressed."""

    def descriptor(self, **annotations: str) -> dict[str, Any]:
        said = {"mediaType": self.media, "digest": self.digest, "size": self.size}
        return said | ({"annotations": annotations} if annotations else {})


def write_layout(folder: Path, layers: Sequence[Layer], said: Described) -> Exported:
    """Write the layout into ``folder``, which must not be there, or empty; Conflict. The same image is the same bytes."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(
            f"{folder} is there already", why="an image layout is written into an empty folder", next="name another one"
        )
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    written = [_write(blobs, _pack(layer), _LAYER) for layer in layers]
    config = _write(blobs, _json(_config(layers, written, said)), _CONFIG)
    parts = [blob.descriptor(**{"dev.bleen.layer": layer.name}) for layer, blob in zip(layers, written, strict=True)]
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config.descriptor(), "layers": parts}
    top = _write(blobs, _json(manifest | {"annotations": dict(said.annotations)}), _MANIFEST)
    index = {"schemaVersion": 2, "manifests": [top.descriptor(**{"org.opencontainers.image.ref.name": said.version})]}
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    # Last: a reader that finds the index finds everything.
    (folder / "index.json").write_bytes(_json(index))
    return Exported(
        digest=top.digest,
        reference=said.version,
        layers=tuple(layer.name for layer in layers),
        size=config.size + top.size + sum(blob.size for blob in written),
    )


def _config(layers: Sequence[Layer], written: Sequence[_Blob], said: Described) -> dict[str, Any]:
    return {
        "created": said.created,
        "architecture": said.architecture,
        "os": "linux",
        "config": {
            "User": "1000:1000",
            "WorkingDir": "/app",
            "Env": [f"{name}={value}" for name, value in sorted(said.env.items())],
        },
        "rootfs": {"type": "layers", "diff_ids": [blob.diff for blob in written]},
        "history": [{"created": said.created, "created_by": f"bleen: {layer.name}"} for layer in layers],
    }


def _write(blobs: Path, data: bytes, media: str) -> _Blob:
    plain = ""
    if media == _LAYER:
        plain = f"sha256:{hashlib.sha256(data).hexdigest()}"
        data = gzip.compress(data, compresslevel=6, mtime=0)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return _Blob(f"sha256:{digest}", len(data), media, plain)


def _pack(layer: Layer) -> bytes:
    """Return the layer as a tar: sorted, owned by root, dated by nothing."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        paths = [f"{layer.top}{file.path}" for file in layer.files]
        folders = dict.fromkeys(_above(paths), 493) | (_OWN if layer.system else {})
        for name in sorted(folders):
            tar.addfile(_info(name, tarfile.DIRTYPE, folders[name]))
        for path, file in sorted(zip(paths, layer.files, strict=True), key=lambda pair: pair[0]):
            _add(tar, path, file, layer.tree)
    return made.getvalue()


def _add(tar: tarfile.TarFile, path: str, file: File, tree: Path) -> None:
    if file.link:
        info = _info(path, tarfile.SYMTYPE, 0o777)
        info.linkname = file.link
        tar.addfile(info)
        return
    info = _info(path, tarfile.REGTYPE, 0o755 if file.executable else 0o644)
    info.size = file.size
    with (tree / file.path).open("rb") as data:
        tar.addfile(info, data)


def _above(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, mode
    return info


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")
