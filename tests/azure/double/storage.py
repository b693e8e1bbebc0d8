"""Blobs, with etags and leases: a storage account as far as Bleen speaks to it."""

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from aiohttp import web

from tests.azure.double.faults import Refused


@dataclass
class Blob:
    """One blob."""

    data: bytes
    kind: str = "BlockBlob"
    metadata: dict[str, str] = field(default_factory=dict)
    etag: str = field(default_factory=lambda: f'"0x{uuid.uuid4().hex[:15].upper()}"')
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))

    def headers(self) -> dict[str, str]:
        headers = {"ETag": self.etag, "Last-Modified": format_datetime(self.modified, usegmt=True), "x-ms-blob-type": self.kind}
        return headers | {f"x-ms-meta-{name}": value for name, value in self.metadata.items()}


class Storage:
    """One account: blobs by container and name. ``away`` names who cannot reach it, by their User-Agent."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self.away: set[str] = set()
        """``all``, or words of the user agent of those who are cut off."""
        self.calls = 0
        self.leases: dict[str, tuple[str, float]] = {}
        """By blob: the id of the last lease on it, and until when it is in force."""

    async def answer(self, request: web.Request, path: str) -> web.Response:
        self.calls += 1
        agent = request.headers.get("User-Agent", "")
        if "all" in self.away or any(word in agent for word in self.away):
            raise Refused(503, "ServerBusy")
        if request.query.get("comp") == "list":
            return self._list(path, request)
        if request.query.get("comp") == "lease":
            return self._lease(path, request)
        answer = {"GET": self._get, "HEAD": self._get, "PUT": self._put, "DELETE": self._delete}[request.method]
        return await answer(request, path)

    def _check(self, request: web.Request, path: str) -> None:
        there = self.blobs.get(path)
        wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match")
        if wanted and (there is None or wanted not in ("*", there.etag)):
            raise Refused(412, "ConditionNotMet")
        if unwanted and there is not None and unwanted in ("*", there.etag):
            if request.method in ("GET", "HEAD"):
                raise Refused(304, "ConditionNotMet")
            raise Refused(409 if unwanted == "*" else 412, "BlobAlreadyExists")

    def _lease(self, path: str, request: web.Request) -> web.Response:
        """Acquire or release, as the table of outcomes in "Lease Blob" has it: the same id may acquire what it has."""
        if path not in self.blobs:
            raise Refused(404, "BlobNotFound")
        holder = self._holder(path)
        action = request.headers["x-ms-lease-action"]
        if action == "acquire":
            id = request.headers["x-ms-proposed-lease-id"]
            seconds = int(request.headers["x-ms-lease-duration"])
            if not 15 <= seconds <= 60:
                raise Refused(400, "InvalidHeaderValue")
            if holder not in ("", id):
                raise Refused(409, "LeaseAlreadyPresent")
            self.leases[path] = id, time.monotonic() + seconds
            return web.Response(status=201, headers=self.blobs[path].headers() | {"x-ms-lease-id": id})
        if action != "release":
            raise Refused(400, "InvalidHeaderValue", "the double knows acquire and release")
        if request.headers["x-ms-lease-id"] != self.leases.get(path, ("", 0.0))[0]:
            raise Refused(409, "LeaseIdMismatchWithLeaseOperation")
        del self.leases[path]
        return web.Response(headers=self.blobs[path].headers())

    def _holder(self, path: str) -> str:
        id, until = self.leases.get(path, ("", 0.0))
        return id if time.monotonic() < until else ""

    def _check_lease(self, request: web.Request, path: str) -> None:
        """Refuse a write of somebody who has not the lease that is on the blob."""
        holder, shown = self._holder(path), request.headers.get("x-ms-lease-id", "")
        if holder and not shown:
            raise Refused(412, "LeaseIdMissing")
        if shown and shown != holder:
            raise Refused(412, "LeaseIdMismatchWithBlobOperation" if holder else "LeaseLost")

    async def _put(self, request: web.Request, path: str) -> web.Response:
        body = await request.read()
        self._check_lease(request, path)
        self._check(request, path)
        prefix = "x-ms-meta-"
        if request.query.get("comp") == "appendblock":
            if path not in self.blobs:
                raise Refused(404, "BlobNotFound")
            there = self.blobs[path]
            self.blobs[path] = blob = Blob(there.data + body, there.kind, there.metadata)
        else:
            metadata = {k.lower().removeprefix(prefix): v for k, v in request.headers.items() if k.lower().startswith(prefix)}
            if sum(len(key) + len(value) for key, value in metadata.items()) > 8_192:
                raise Refused(400, "MetadataTooLarge", "The metadata specified exceeds the maximum permissible limit (8KB).")
            self.blobs[path] = blob = Blob(body, request.headers["x-ms-blob-type"], metadata)
        return web.Response(status=201, headers=blob.headers())

    async def _get(self, request: web.Request, path: str) -> web.Response:
        self._check(request, path)
        blob = self.blobs.get(path)
        if blob is None:
            raise Refused(404, "BlobNotFound")
        span = request.headers.get("x-ms-range") or request.headers.get("Range")
        headers = blob.headers() | {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        if request.method == "HEAD" or span is None:
            return web.Response(body=blob.data, headers=headers)
        first, _, last = span.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(blob.data) - 1), len(blob.data) - 1)
        if start >= len(blob.data):
            raise Refused(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end}/{len(blob.data)}"
        return web.Response(status=206, body=blob.data[start : end + 1], headers=headers)

    async def _delete(self, request: web.Request, path: str) -> web.Response:
        self._check_lease(request, path)
        self._check(request, path)
        if self.blobs.pop(path, None) is None:
            raise Refused(404, "BlobNotFound")
        return web.Response(status=202)

    def _list(self, container: str, request: web.Request) -> web.Response:
        prefix = f"{container}/{request.query.get('prefix', '')}"
        found = sorted((name, blob) for name, blob in self.blobs.items() if name.startswith(prefix))
        rows = "".join(_row(name.removeprefix(f"{container}/"), blob) for name, blob in found)
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{rows}</Blobs><NextMarker/></EnumerationResults>'
        )
        return web.Response(text=text, content_type="application/xml")


def _row(name: str, blob: Blob) -> str:
    metadata = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
    modified = format_datetime(blob.modified, usegmt=True)
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{modified}</Last-Modified>"
        f"<Etag>{blob.etag.strip(chr(34))}</Etag><Content-Length>{len(blob.data)}</Content-Length><BlobType>{blob.kind}</BlobType>"
        f"</Properties><Metadata>{metadata}</Metadata></Blob>"
    )
