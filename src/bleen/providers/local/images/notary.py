"""Vouches for images: signs what was built here, and says of what lies there whether anyone who is trusted signed it.

``provenance/<image>/<lock>.json`` is an envelope: one for each lock that became the image.
"""

import base64
import binascii
from pathlib import Path

from bleen.domain.codec import encode
from bleen.domain.errors import ImageRejected
from bleen.domain.image import Digest
from bleen.domain.provenance import (
    PAYLOAD_TYPE,
    Built,
    Envelope,
    Provenance,
    Trust,
    bare,
    believe,
    open_envelope,
    rejected,
    seal,
    statement_of,
    to_sign,
    unsigned,
    untrusted,
)
from bleen.providers.local.images import disk
from bleen.providers.local.images.keys import Keys


class Notary:
    """Keeps the envelopes below ``folder``. Its verbs block."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.folder = folder
        self.keys = keys

    def vouch(self, built: Built) -> None:
        """Sign where ``built`` came from, unless a signature that counts says so already."""
        if self.vouched(built.digest, built.lock):
            return
        payload = encode(statement_of(built))
        name, signature = self.keys.sign(to_sign(PAYLOAD_TYPE, payload))
        disk.write_whole(self._path(built.digest, built.lock), seal(payload, name, signature))

    def vouched(self, digest: Digest, lock: Digest) -> bool:
        """Return whether someone who is trusted says that ``lock`` became the image."""
        path = self._path(digest, lock)
        if not path.exists():
            return False
        try:
            return self._examine(path, digest, self.keys.trust()).lock == lock
        except ImageRejected:
            return False

    def examine(self, digest: Digest) -> Provenance:
        """Return what is signed of the image; ImageRejected says why no signature counts."""
        trust, refusal = self.keys.trust(), unsigned(digest)
        for path in self._paths(digest):
            try:
                return self._examine(path, digest, trust)
            except ImageRejected as error:
                refusal = error
        raise refusal

    def envelope(self, digest: Digest) -> bytes:
        """Return what was signed of the image, as it was signed; ImageRejected as `examine`."""
        trust, refusal = self.keys.trust(), unsigned(digest)
        for path in self._paths(digest):
            try:
                self._examine(path, digest, trust)
                return path.read_bytes()
            except ImageRejected as error:
                refusal = error
        raise refusal

    def forget(self, digest: Digest) -> None:
        """Remove what was signed of the image."""
        disk.remove_tree(self.folder / bare(digest))

    def _examine(self, path: Path, digest: Digest, trust: Trust) -> Provenance:
        return vet(path.read_bytes(), digest, self.keys, trust)

    def _paths(self, digest: Digest) -> list[Path]:
        return sorted((self.folder / bare(digest)).glob("[0-9a-f]*.json"))

    def _path(self, digest: Digest, lock: Digest) -> Path:
        return self.folder / bare(digest) / f"{bare(lock)}.json"


def vet(data: bytes, digest: Digest, keys: Keys, trust: Trust) -> Provenance:
    """Return what the envelope ``data`` says of the image; ImageRejected where no signature of it counts."""
    envelope, payload = open_envelope(data, digest)
    refusal = untrusted(envelope, trust, digest)
    if refusal is not None:
        raise refusal
    key = _signer(envelope, payload, keys, trust)
    if not key:
        raise rejected(digest, "its signature is wrong", "its provenance was changed after it was signed")
    return believe(payload, key, digest, trust)


def _signer(envelope: Envelope, payload: bytes, keys: Keys, trust: Trust) -> str:
    """Return the trusted key whose signature is good; empty where none is."""
    message = to_sign(envelope.payload_type, payload)
    for signature in envelope.signatures:
        name = signature.keyid
        if name not in trust.trusted or name in trust.revoked:
            continue
        try:
            if keys.verifies(name, base64.b64decode(signature.sig, validate=True), message):
                return name
        except binascii.Error:
            continue
    return ""
