"""Law 6: an image starts only where its bytes are what its digest says, and a trusted key signed where it came from."""

import base64
import json
import stat
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from bleen.domain.errors import BleenError, ImageRejected, InvalidInput
from bleen.domain.image import Archive, Image
from bleen.domain.provenance import bare
from bleen.providers.local.images import LocalImages
from bleen.providers.local.images.keys import Keys
from tests.contracts.images import build
from tests.fixtures.debian import little_mirror
from tests.providers.local.base_bench import Bench
from tests.providers.local.image_bench import LocalBench, local_bench


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


def signer(bench: LocalBench) -> str:
    """Return the id of the key that signs now."""
    return Keys(bench.home / "keys").sign(b"")[0]


def rotate(bench: LocalBench) -> None:
    """What the guide says."""
    (bench.home / "keys" / "signing.pem").unlink()


def revoke(bench: LocalBench, name: str) -> None:
    """What the guide says."""
    (bench.home / "keys" / "revoked").mkdir(exist_ok=True)
    (bench.home / "keys" / "trusted" / f"{bare(name)}.pem").rename(bench.home / "keys" / "revoked" / f"{bare(name)}.pem")


def refuse_before(bench: LocalBench, name: str, at: datetime) -> None:
    """What the guide says."""
    (bench.home / "keys" / "oldest.json").write_text(json.dumps({name: at.isoformat()}))


def envelope_of(bench: LocalBench, image: Image) -> Path:
    """Return the file of the one envelope of an image."""
    (path,) = (bench.home / "images" / "provenance" / bare(image.digest)).glob("*.json")
    return path


def flip_payload(path: Path) -> None:
    envelope = json.loads(path.read_bytes())
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[len(payload) // 2] ^= 1
    path.write_text(json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}))


def flip_signature(path: Path) -> None:
    envelope = json.loads(path.read_bytes())
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[0] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    path.write_text(json.dumps(envelope))


def change_kind(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"payloadType": "text/plain"}))


def claim_another_key(path: Path) -> None:
    envelope = json.loads(path.read_bytes())
    envelope["signatures"][0]["keyid"] = f"sha256:{7:064x}"
    path.write_text(json.dumps(envelope))


def drop_signatures(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"signatures": []}))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


FORGERIES = {
    flip_payload: "its signature is wrong",
    flip_signature: "its signature is wrong",
    change_kind: "another kind",
    claim_another_key: "not trusted",
    drop_signatures: "not trusted: nobody",
    cut_short: "cannot be read",
    Path.unlink: "nobody has signed it",
}


@pytest.mark.parametrize(("forge", "why"), FORGERIES.items(), ids=lambda value: getattr(value, "__name__", ""))
async def test_a_forged_envelope_is_refused_and_building_again_mends_it(
    bench: LocalBench, forge: Callable[[Path], None], why: str
) -> None:
    """Whatever was done to the signature, the message says what, and the advice in it works."""
    image = await build(bench, 1)
    forge(envelope_of(bench, image))
    with pytest.raises(ImageRejected, match=why) as caught:
        await bench.images.verify(image.digest)
    assert caught.value.why and "again" in caught.value.next
    assert (await build(bench, 1)).digest == image.digest
    await bench.images.verify(image.digest)


async def test_verifying_tells_what_was_signed(bench: LocalBench) -> None:
    """By whom, when, and from what it was built."""
    image = await build(bench, 1)
    found = await bench.images.verify(image.digest)
    assert (found.digest, found.name, found.version) == (image.digest, "hello", "1.0")
    assert found.source["type"] == "directory" and found.source["path"] == "app-1"
    assert found.key == signer(bench)
    assert timedelta(0) <= datetime.now(UTC) - found.built < timedelta(minutes=5)


async def test_another_program_verifies_the_envelope(bench: LocalBench) -> None:
    """securesystemslib, which in-toto and TUF stand on, reads the envelope and the PEM, and finds the SLSA predicate."""
    image = await build(bench, 1)
    envelope = Envelope.from_dict(json.loads(envelope_of(bench, image).read_bytes()))
    name = next(iter(envelope.signatures))
    pem = (bench.home / "keys" / "trusted" / f"{bare(name)}.pem").read_text()
    key = SSlibKey(name, "ed25519", "ed25519", {"public": raw_public(pem)})
    assert list(envelope.verify([key], 1)) == [name]
    statement = json.loads(envelope.payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "hello", "digest": {"sha256": bare(image.digest)}}]
    assert statement["predicate"]["buildDefinition"]["externalParameters"]["source"]["path"] == "app-1"


def raw_public(pem: str) -> str:
    """Return the 32 bytes at the end of an ed25519 SubjectPublicKeyInfo (RFC 8410), in hexadecimal digits."""
    return base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))[-32:].hex()


async def test_the_signing_key_is_nobody_elses(bench: LocalBench) -> None:
    """Made at the first build, readable by its owner alone, in a folder of the owner alone."""
    assert not (bench.home / "keys").exists()
    await build(bench, 1)
    assert stat.S_IMODE((bench.home / "keys" / "signing.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((bench.home / "keys").stat().st_mode) == 0o700


async def test_an_image_signed_elsewhere_is_refused_until_its_key_is_trusted(bench: LocalBench, tmp_path: Path) -> None:
    """A key that nobody knows here counts for nothing; dropping its public key among the trusted ones is all it takes."""
    image = await build(bench, 1)
    other = LocalImages(tmp_path / "other")
    await other.build("hello", bench.source(1), bench.folder)
    foreign = tmp_path / "other" / "images" / "provenance" / bare(image.digest) / envelope_of(bench, image).name
    envelope_of(bench, image).write_bytes(foreign.read_bytes())
    with pytest.raises(ImageRejected, match="not trusted"):
        await bench.images.verify(image.digest)
    (public,) = (tmp_path / "other" / "keys" / "trusted").glob("*.pem")
    (bench.home / "keys" / "trusted" / public.name).write_bytes(public.read_bytes())
    assert (await bench.images.verify(image.digest)).key == f"sha256:{public.stem}"


async def test_rotation_keeps_what_was_signed_before(bench: LocalBench) -> None:
    """The old key signs no more, and still counts; a new image is signed by the new one."""
    first = await build(bench, 1)
    before = signer(bench)
    rotate(bench)
    after = signer(bench)
    second = await build(bench, 2)
    assert before != after
    assert (await bench.images.verify(first.digest)).key == before
    assert (await bench.images.verify(second.digest)).key == after


async def test_what_a_revoked_key_signed_is_refused_until_it_is_built_again(bench: LocalBench) -> None:
    """Also where its public key is put among the trusted ones again."""
    image = await build(bench, 1)
    name = signer(bench)
    public = (bench.home / "keys" / "trusted" / f"{bare(name)}.pem").read_bytes()
    revoke(bench, name)
    (bench.home / "keys" / "trusted" / f"{bare(name)}.pem").write_bytes(public)
    with pytest.raises(ImageRejected, match="revoked"):
        await bench.images.verify(image.digest)
    tree = bench.images.tree(image.digest).stat().st_ino
    await build(bench, 1)
    assert (await bench.images.verify(image.digest)).key != name
    assert bench.images.tree(image.digest).stat().st_ino == tree, "instances may run from it: it must stay where it is"


async def test_the_envelope_of_another_image_is_refused(bench: LocalBench) -> None:
    """A good signature speaks for one image alone."""
    old, new = await build(bench, 1), await build(bench, 2)
    envelope_of(bench, new).write_bytes(envelope_of(bench, old).read_bytes())
    with pytest.raises(ImageRejected, match="that of another image"):
        await bench.images.verify(new.digest)


async def test_an_older_image_is_not_taken_for_a_newer_one(bench: LocalBench) -> None:
    """A note that says that the new source became the old image is not believed: the source is built."""
    old, new = await build(bench, 1), await build(bench, 2)
    recipes = {json.loads(path.read_bytes()): path for path in (bench.home / "images" / "recipes").glob("*.json")}
    recipes[new.digest].write_text(json.dumps(old.digest))
    assert (await build(bench, 2)).digest == new.digest


async def test_what_is_older_than_is_allowed_is_refused(bench: LocalBench) -> None:
    """A minimum is one of a name: images of other names start as before."""
    old, other = await build(bench, 1), await build(bench, 2, name="world")
    refuse_before(bench, "hello", datetime.now(UTC))
    with pytest.raises(ImageRejected, match="older than is allowed"):
        await bench.images.verify(old.digest)
    await bench.images.verify(other.digest)
    await build(bench, 1)
    await bench.images.verify(old.digest)


async def test_equal_content_of_two_locks_has_an_envelope_for_each(bench: LocalBench) -> None:
    """A folder, and an archive of it, are one image with two provenances: either is looked up the next time, and not built."""
    image = await build(bench, 1)
    with tarfile.open(bench.folder / "app.tar.gz", "w:gz") as archive:
        archive.add(bench.folder / "app-1", ".")
    packed = await bench.images.build("hello", Archive("app.tar.gz"), bench.folder)
    assert packed.digest == image.digest
    assert len(list((bench.home / "images" / "provenance" / bare(image.digest)).glob("*.json"))) == 2


async def test_removing_an_image_removes_what_was_signed_of_it(bench: LocalBench) -> None:
    """Nothing is left of it."""
    image = await build(bench, 1)
    await bench.images.remove(image.digest)
    assert not (bench.home / "images" / "provenance" / bare(image.digest)).exists()


@pytest.mark.parametrize("text", ["", "no key"])
async def test_a_broken_key_is_named_with_its_file(bench: LocalBench, text: str) -> None:
    """It is neither replaced silently nor a stack of words from a library alone."""
    await build(bench, 1)
    (bench.home / "keys" / "signing.pem").write_text(text)
    with pytest.raises(InvalidInput, match=r"signing\.pem") as caught:
        await build(bench, 2)
    assert caught.value.where.endswith("keys/signing.pem")


async def test_a_trusted_file_with_another_key_in_it_is_refused(bench: LocalBench) -> None:
    """The name of a trusted key is what the key says, not what someone called the file."""
    image = await build(bench, 1)
    name = signer(bench)
    rotate(bench)
    other = bench.home / "keys" / "trusted" / f"{bare(signer(bench))}.pem"
    (bench.home / "keys" / "trusted" / f"{bare(name)}.pem").write_bytes(other.read_bytes())
    with pytest.raises(BleenError, match="under the name of another"):
        await bench.images.verify(image.digest)


async def test_a_signing_key_that_nobody_trusts_is_refused_before_it_signs(bench: LocalBench) -> None:
    """A build whose image would be refused is no build; the message names the file that is missing."""
    await build(bench, 1)
    (bench.home / "keys" / "trusted" / f"{bare(signer(bench))}.pem").unlink()
    with pytest.raises(InvalidInput, match=r"there is no trusted/.*\.pem"):
        await build(bench, 2)
    assert [image.version for image in await bench.images.list()] == ["1.0"]


async def test_an_application_on_a_base_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    """Its own signature is good, and what it stands on is half of what would start; building the base again mends it."""
    with little_mirror(tmp_path / "recipes") as mirror:
        bases = Bench(tmp_path, mirror)
        base = await bases.build()
        source, folder = bases.application()
        image = await bases.images.build("app", source, Path(folder), base.digest)
        (envelope,) = (bases.home / "images" / "provenance" / bare(base.digest)).glob("*.json")
        envelope.unlink()
        with pytest.raises(ImageRejected, match=f"{bare(base.digest)[:12]} may not start: nobody has signed it"):
            await bases.images.verify(image.digest)
        await bases.build()
        await bases.images.verify(image.digest)


async def test_what_is_signed_of_a_base_says_nothing_of_the_machine(tmp_path: Path) -> None:
    """Two machines sign the same of one lock, wherever they keep their recipes."""
    with little_mirror(tmp_path / "recipes") as mirror:
        bases = Bench(tmp_path, mirror)
        base = await bases.build()
        (path,) = (bases.home / "images" / "provenance" / bare(base.digest)).glob("*.json")
        payload = base64.b64decode(json.loads(path.read_bytes())["payload"]).decode()
    assert "lock" in payload and str(tmp_path) not in payload
