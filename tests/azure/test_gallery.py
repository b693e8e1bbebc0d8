"""Nothing starts from a version of the gallery of which a digest, a signature or the region's own copy is missing (law 6)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleen.domain.codec import digest_of
from bleen.domain.errors import ImageRejected, NotFound, Transient
from bleen.domain.provenance import bare
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.site import Container
from bleen.providers.local.images.keys import Keys
from tests.azure.double.cloud import Cloud
from tests.azure.double.storage import Blob
from tests.azure.world import Publisher, azure, keys_of

IMAGE, OTHER = f"sha256:{7:064x}", f"sha256:{8:064x}"
ENVELOPE = f"{Container.IMAGES}/{bare(IMAGE)}.json"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return keys_of(tmp_path)


@pytest.fixture
def publisher(cloud: Cloud, keys: Keys) -> Publisher:
    return Publisher(cloud, keys)


@pytest.fixture
async def gallery(cloud: Cloud, keys: Keys) -> AsyncIterator[Gallery]:
    there = azure(cloud)
    yield Gallery(there, keys)
    await there.close()


async def test_a_version_is_found_by_its_digest(gallery: Gallery, publisher: Publisher) -> None:
    """Among others; another digest, and another image, are not there."""
    publisher.publish(OTHER, "hello", version="1.0.0")
    publisher.publish(IMAGE, "hello", version="1.0.1")
    assert (await gallery.start_from("hello", IMAGE)).endswith("/images/hello/versions/1.0.1")
    for image, digest in (("hello", f"sha256:{9:064x}"), ("other", IMAGE)):
        with pytest.raises(NotFound):
            await gallery.start_from(image, digest)


async def test_a_version_that_nobody_signed_is_refused(gallery: Gallery, publisher: Publisher, cloud: Cloud) -> None:
    """Its provenance is not there."""
    publisher.publish(IMAGE, "hello")
    del cloud.storage.blobs[ENVELOPE]
    with pytest.raises(ImageRejected, match="nobody has signed it"):
        await gallery.start_from("hello", IMAGE)


async def test_a_provenance_that_was_changed_is_refused(gallery: Gallery, publisher: Publisher, cloud: Cloud) -> None:
    """In storage alone, and together with the tag: then the signature is wrong."""
    publisher.publish(IMAGE, "hello")
    good = cloud.storage.blobs[ENVELOPE].data
    bad = good.replace(b'"sig":"', b'"sig":"AAAA')
    cloud.storage.blobs[ENVELOPE] = Blob(bad)
    with pytest.raises(ImageRejected, match="was changed"):
        await gallery.start_from("hello", IMAGE)
    cloud.gallery.versions["hello"]["1.0.0"]["tags"]["signature"] = digest_of(bad)
    with pytest.raises(ImageRejected):
        await gallery.start_from("hello", IMAGE)


async def test_a_provenance_of_another_image_is_refused(gallery: Gallery, publisher: Publisher, cloud: Cloud) -> None:
    """Put under the digest of this one, and named by its tag."""
    publisher.publish(OTHER, "hello", version="1.0.0")
    envelope = cloud.storage.blobs[f"{Container.IMAGES}/{bare(OTHER)}.json"].data
    cloud.storage.blobs[ENVELOPE] = Blob(envelope)
    cloud.gallery.add("hello", "1.0.1", digest=IMAGE, signature=digest_of(envelope))
    with pytest.raises(ImageRejected, match="another image"):
        await gallery.start_from("hello", IMAGE)


async def test_a_key_that_is_not_trusted_here_counts_for_nothing(cloud: Cloud, gallery: Gallery, tmp_path: Path) -> None:
    """However well it signs."""
    Publisher(cloud, keys_of(tmp_path / "elsewhere")).publish(IMAGE, "hello")
    with pytest.raises(ImageRejected, match="not trusted"):
        await gallery.start_from("hello", IMAGE)


async def test_a_version_on_its_way_to_the_region_is_waited_for(gallery: Gallery, publisher: Publisher, cloud: Cloud) -> None:
    """Replicating, or replicated elsewhere; a region is one name, however it is spelled."""
    publisher.publish(IMAGE, "hello")
    status = cloud.gallery.versions["hello"]["1.0.0"]["properties"]["replicationStatus"]
    for region, state in (("weu", "Replicating"), ("East US", "Completed")):
        status["summary"] = [{"region": region, "state": state, "progress": 40}]
        with pytest.raises(Transient, match="not in weu yet"):
            await gallery.start_from("hello", IMAGE)
    status["summary"] = [{"region": "W EU", "state": "Completed", "progress": 100}]
    await gallery.start_from("hello", IMAGE)
