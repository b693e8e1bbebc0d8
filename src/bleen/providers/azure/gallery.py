"""Versions of images in a gallery: found by the digest in their tags, believed by their signed provenance (law 6)."""

from collections.abc import AsyncIterator, Mapping, Sequence

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.compute.models import GalleryImageVersion, GalleryImageVersionUpdate

from bleen.domain.codec import digest_of
from bleen.domain.errors import NotFound, Transient
from bleen.domain.image import Digest
from bleen.domain.provenance import Provenance, bare, rejected, short
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.errors import speaking, word
from bleen.providers.azure.site import Container
from bleen.providers.local.images.keys import Keys
from bleen.providers.local.images.notary import vet


class Gallery:
    """The gallery of one site. The signed statements are blobs, as ``<digest>.json``."""

    def __init__(self, azure: Azure, keys: Keys) -> None:
        self._azure = azure
        self._provenance = azure.container(Container.IMAGES)
        self._keys = keys

    async def start_from(self, image: str, digest: Digest) -> str:
        """Return the id of the version of ``image`` that is ``digest``, verified; NotFound, ImageRejected.

        Transient while it is still on its way to the region.
        """
        version = await self.find(image, digest)
        await self.verify(version, digest)
        await self._check_replicated(image, version.name or "")
        return version.id or ""

    async def verify(self, version: GalleryImageVersion, digest: Digest) -> Provenance:
        """Return what is signed of a version; ImageRejected says why nothing that is signed counts."""
        data = await self._envelope(digest)
        named = (version.tags or {}).get("signature", "")
        if data is None:
            raise rejected(digest, "nobody has signed it", f"storage has no {bare(digest)}.json among its images")
        if digest_of(data) != named:
            raise rejected(digest, "its provenance was changed", f"version {version.name} was published with {short(named)}")
        return vet(data, digest, self._keys, self._keys.trust())

    async def versions(self, image: str) -> AsyncIterator[GalleryImageVersion]:
        """Yield the versions of ``image``."""
        site = self._azure.site
        versions = self._azure.compute.gallery_image_versions
        with speaking(f"read the versions of {image}"):
            async for version in versions.list_by_gallery_image(site.gallery_group, site.gallery, image):
                yield version

    async def images(self) -> Sequence[str]:
        """Return the names of the definitions."""
        site = self._azure.site
        with speaking("read the gallery"):
            found = self._azure.compute.gallery_images.list_by_gallery(site.gallery_group, site.gallery)
            return [each.name or "" async for each in found]

    async def version(self, image: str, name: str) -> GalleryImageVersion | None:
        """Return the version of that name; None where there is none."""
        site, versions = self._azure.site, self._azure.compute.gallery_image_versions
        with speaking(f"read version {name} of {image}"):
            try:
                return await versions.get(site.gallery_group, site.gallery, image, name)
            except ResourceNotFoundError:
                return None

    async def tag(self, version: GalleryImageVersion, image: str, tags: Mapping[str, str]) -> None:
        """Give a version these tags beside those that it has, and return when it has them."""
        site, versions = self._azure.site, self._azure.compute.gallery_image_versions
        body = GalleryImageVersionUpdate(tags={**(version.tags or {}), **tags})
        with speaking(f"tag version {version.name} of {image}"):
            poller = await versions.begin_update(site.gallery_group, site.gallery, image, version.name or "", body)
            await poller.result()

    async def delete(self, version: GalleryImageVersion, image: str) -> None:
        """Delete a version, and return when it is gone."""
        site, versions = self._azure.site, self._azure.compute.gallery_image_versions
        with speaking(f"delete version {version.name} of {image}"):
            try:
                await (await versions.begin_delete(site.gallery_group, site.gallery, image, version.name or "")).result()
            except ResourceNotFoundError:
                return

    async def find(self, image: str, digest: Digest) -> GalleryImageVersion:
        """Return the version of ``image`` whose tag is the digest; NotFound."""
        found = [each async for each in self.versions(image) if (each.tags or {}).get("digest") == digest]
        if not found:
            why = f"no version of {image} in {self._azure.site.gallery} has the tag digest = {short(digest)}"
            raise NotFound(f"there is no image {short(digest)} in the gallery", why=why, next="build it with Packer")
        return found[0]

    async def _check_replicated(self, image: str, name: str) -> None:
        """Raise where the region has no copy yet: its machines would start from another region's, or not at all."""
        site = self._azure.site
        with speaking(f"read how far version {name} of {image} is"):
            version = await self._azure.compute.gallery_image_versions.get(
                site.gallery_group, site.gallery, image, name, expand="ReplicationStatus"
            )
        copies = (version.replication_status.summary or []) if version.replication_status else []
        states = {_spelled(each.region or ""): (word(each.state), each.progress) for each in copies}
        state, progress = states.get(_spelled(site.location), ("not replicated there", 0))
        if state != "Completed":
            what = f"version {name} of {image} is not in {site.location} yet"
            next = "it is tried again; replication_regions in the Packer template names the regions"
            raise Transient(what, why=f"{state}, {progress} %", next=next)

    async def _envelope(self, digest: Digest) -> bytes | None:
        with speaking("read the provenance of an image"):
            try:
                return await (await self._provenance.download_blob(f"{bare(digest)}.json")).readall()
            except ResourceNotFoundError:
                return None


def _spelled(region: str) -> str:
    """Return the name of a region as Azure's answers may have it in either way: ``West Europe``, ``westeurope``."""
    return region.replace(" ", "").lower()
