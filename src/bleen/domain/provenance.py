"""Where an image came from, as its builder signed it: an in-toto statement with a SLSA v1 predicate, in a DSSE envelope.

https://in-toto.io/Statement/v1, https://slsa.dev/provenance/v1, https://github.com/secure-systems-lab/dsse. What is
said in these formats can be checked by other programs; what Bleen believes of it is decided here.
"""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import msgspec

from bleen.domain.codec import Value, decode, encode, plain
from bleen.domain.errors import ImageRejected
from bleen.domain.image import Digest

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:bleen:image-build:v1"
BUILDER = "urn:bleen:builder:local"
_REBUILD = "bleen deploy SERVICE builds its image again, and signs it"


class Foreign(msgspec.Struct, frozen=True, rename="camel"):
    """A struct of a format that is not ours: open to further keys, as its specification asks of readers."""


class Resource(Foreign, frozen=True, omit_defaults=True):
    """Something that went into a build, or came out of it."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = {}


class Build(Foreign, frozen=True):
    """What was asked for, and what went in."""

    build_type: str
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any] = {}
    resolved_dependencies: tuple[Resource, ...] = ()


class Builder(Foreign, frozen=True):
    """Who built."""

    id: str
    version: dict[str, str] = {}


class Metadata(Foreign, frozen=True):
    """When."""

    finished_on: datetime


class Run(Foreign, frozen=True):
    """One run of a builder."""

    builder: Builder
    metadata: Metadata


class Predicate(Foreign, frozen=True):
    """SLSA v1."""

    build_definition: Build
    run_details: Run


class Statement(msgspec.Struct, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """in-toto v1: what is said of whom."""

    subject: tuple[Resource, ...]
    predicate: Predicate
    type: str = STATEMENT_TYPE
    predicate_type: str = PREDICATE_TYPE


class Signature(Foreign, frozen=True):
    """One signature; ``sig`` is base64, ``keyid`` only a hint until the signature is checked."""

    keyid: str
    sig: str


class Envelope(Foreign, frozen=True):
    """DSSE: bytes, what they are, and who signed them."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


class Built(Value, frozen=True):
    """What a builder knows of an image that it has just built."""

    digest: Digest
    name: str
    version: str
    source: Any
    """What it was built from, in plain values."""
    lock: Digest
    base: str
    runtime: str
    at: datetime
    by: str
    """The version of the builder."""


class Provenance(Value, frozen=True):
    """What is known of an image because someone who is trusted has signed it."""

    digest: Digest
    name: str
    version: str
    source: dict[str, Any]
    lock: Digest
    """The digest of all that was built."""
    base: str
    runtime: str
    built: datetime
    builder: str
    """Who built, and in which version."""
    key: str
    """The id of the key: the digest of the public key."""


class Trust(Value, frozen=True):
    """Whose signatures count, and from when on."""

    trusted: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    oldest: dict[str, datetime] = {}
    """By name of the image: what was built before is refused, whoever signed it."""


def statement_of(built: Built) -> Statement:
    """Return what a builder says of an image."""
    inputs = [Resource(name="lock", digest={"sha256": bare(built.lock)})]
    if built.base.startswith("sha256:"):
        inputs.append(Resource(name="base", digest={"sha256": bare(built.base)}))
    asked = {"name": built.name, "version": built.version, "source": plain(built.source)}
    return Statement(
        subject=(Resource(name=built.name, digest={"sha256": bare(built.digest)}),),
        predicate=Predicate(
            build_definition=Build(BUILD_TYPE, asked, {"base": built.base, "runtime": built.runtime}, tuple(inputs)),
            run_details=Run(Builder(BUILDER, {"bleen": built.by}), Metadata(built.at.astimezone(UTC))),
        ),
    )


def to_sign(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a signature covers: DSSE's pre-authentication encoding, version 1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, keyid: str, signature: bytes) -> bytes:
    """Return an envelope, as it is written to a file."""
    signed = Signature(keyid, base64.b64encode(signature).decode())
    return encode(Envelope(base64.b64encode(payload).decode(), PAYLOAD_TYPE, (signed,)))


def open_envelope(data: bytes, digest: Digest) -> tuple[Envelope, bytes]:
    """Return the envelope and its payload, of which nothing is checked yet; ImageRejected where it is none."""
    try:
        envelope: Envelope = msgspec.json.decode(data, type=Envelope)
        return envelope, base64.b64decode(envelope.payload, validate=True)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise rejected(digest, "its provenance cannot be read", str(error)) from error


def unsigned(digest: Digest) -> ImageRejected:
    """Return the error of an image that nobody vouches for."""
    why = "it has no signed provenance: it was put there by hand, or built by a version of Bleen that did not sign yet"
    return rejected(digest, "nobody has signed it", why)


def untrusted(envelope: Envelope, trust: Trust, digest: Digest) -> ImageRejected | None:
    """Return why no signature of ``envelope`` can count; None where one may, once it is checked."""
    names = [signature.keyid for signature in envelope.signatures]
    if envelope.payload_type != PAYLOAD_TYPE:
        return rejected(digest, "its provenance is of another kind", f"{envelope.payload_type!r}, not {PAYLOAD_TYPE}")
    if any(name in trust.trusted and name not in trust.revoked for name in names):
        return None
    if revoked := [name for name in names if name in trust.revoked]:
        return rejected(digest, f"the key that signed it was revoked: {short(revoked[0])}", "what it signed counts no more")
    who = ", ".join(short(name) for name in names) or "nobody"
    return rejected(digest, f"it was signed by a key that is not trusted: {who}", "its public key is not among the trusted")


def believe(payload: bytes, key: str, digest: Digest, trust: Trust) -> Provenance:
    """Return what a payload says whose signature by ``key`` is good; ImageRejected where it does not speak for this image."""
    try:
        statement: Statement = msgspec.json.decode(payload, type=Statement)
        said = _provenance(statement, key)
    except (msgspec.MsgspecError, KeyError, IndexError, TypeError) as error:
        raise rejected(digest, "its provenance is no SLSA v1 statement", str(error)) from error
    if said.digest != digest:
        raise rejected(digest, "its provenance is that of another image", f"it was signed for {short(said.digest)}")
    oldest = trust.oldest.get(said.name)
    if oldest is not None and said.built < oldest:
        why = f"it was built at {_minute(said.built)}, and of {said.name} nothing from before {_minute(oldest)} may start"
        raise rejected(digest, "it is older than is allowed", why)
    return said


def _provenance(statement: Statement, key: str) -> Provenance:
    if (statement.type, statement.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise TypeError(f"it is a {statement.predicate_type} in a {statement.type}")
    build, run, subject = statement.predicate.build_definition, statement.predicate.run_details, statement.subject[0]
    inputs = {resource.name: f"sha256:{resource.digest['sha256']}" for resource in build.resolved_dependencies}
    return Provenance(
        digest=f"sha256:{subject.digest['sha256']}",
        name=subject.name,
        version=build.external_parameters["version"],
        source=build.external_parameters["source"],
        lock=inputs["lock"],
        base=build.internal_parameters["base"],
        runtime=build.internal_parameters["runtime"],
        built=run.metadata.finished_on,
        builder=" ".join([run.builder.id, *run.builder.version.values()]),
        key=key,
    )


def read_oldest(data: bytes) -> dict[str, datetime]:
    """Return what `write_oldest` wrote."""
    oldest: dict[str, datetime] = decode(data, dict[str, datetime])
    return oldest


def rejected(digest: Digest, what: str, why: str) -> ImageRejected:
    """Return the error of the image, with the way forward."""
    return ImageRejected(f"the image {short(digest)} may not start: {what}", why=why, next=_REBUILD)


def short(digest: str) -> str:
    """Return the first digits of a digest, for people."""
    return bare(digest)[:12]


def bare(digest: Digest) -> str:
    """Return the hexadecimal digits of a digest."""
    return digest.removeprefix("sha256:")


def _minute(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
