"""Images of the store as OCI image layouts: the base, its patches and the application as layers of their own."""

from datetime import UTC, datetime
from pathlib import Path

from bleen.domain.base import HOST, SCRATCH, Distributed, Exported
from bleen.domain.image import Digest
from bleen.providers.debian.finish import LISTS
from bleen.providers.debian.locking import suites_of
from bleen.providers.local.images.environment import process_environment
from bleen.providers.local.images.store import Manifest, Store
from bleen.providers.oci import Described, Layer, write_layout

APP = "app"
"""Where the application is in the image, as instances see it."""
_EPOCH = datetime.fromtimestamp(0, UTC)


def export_image(store: Store, digest: Digest, folder: Path) -> Exported:
    """Write the image into ``folder``; NotFound, Conflict, and ImageRejected where it is not what it was."""
    manifest = store.check(digest)
    base = store.check(manifest.content.base) if manifest.content.base.startswith("sha256:") else None
    system = manifest if manifest.content.base == SCRATCH else base
    layers = _system_layers(store, system) if system else []
    if system is not manifest:
        layers.append(Layer("application", store.tree(digest), manifest.content.files, top=f"{APP}/", system=system is None))
    return write_layout(folder, layers, _described(manifest, system, digest))


def _system_layers(store: Store, base: Manifest) -> list[Layer]:
    """Return the layers of a base: a rebuild that only patches leaves the first one as it is."""
    tree = store.tree(base.image.digest)
    patched = _patched(tree, base)
    files = base.content.files
    below = Layer("base", tree, [file for file in files if file.path not in patched], system=True)
    above = [file for file in files if file.path in patched]
    return [below, Layer("patches", tree, above)] if above else [below]


def _patched(tree: Path, base: Manifest) -> set[str]:
    """Return the paths that come of the security suite, and those that change with it: the lists of packages."""
    if not isinstance(base.source, Distributed):
        return set()
    suites = suites_of(base.source.recipe)
    found: set[str] = set()
    for package in base.source.lock.packages:
        if suites[package.suite] == "patches":
            listed = tree / LISTS / f"{package.name}.list"
            found.update(line.removeprefix("/") for line in listed.read_text().splitlines())
            found.add(f"{LISTS}/{package.name}.list")
    return found | {"var/lib/dpkg/status", "etc/ssl/certs/ca-certificates.crt"}


def _described(manifest: Manifest, system: Manifest | None, digest: Digest) -> Described:
    image, source = manifest.image, system.source if system else None
    locked = source.lock if isinstance(source, Distributed) else None
    made = max(suite.date for suite in locked.suites) if locked else _EPOCH
    env = {} if image.base == SCRATCH else _environment(manifest)
    annotations = {
        "org.opencontainers.image.title": image.name,
        "org.opencontainers.image.version": image.version,
        "dev.bleen.digest": digest,
        "dev.bleen.base": image.base,
    }
    created = made.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return Described(image.name, image.version, created, locked.architecture if locked else "amd64", env, annotations)


def _environment(manifest: Manifest) -> dict[str, str]:
    """Return the environment of its programs; of a host-based one nothing, because nobody knows its machine."""
    return {} if manifest.content.base == HOST else process_environment(manifest.image, f"/{APP}")
