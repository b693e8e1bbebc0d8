"""Versions of images in a gallery."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from azure.mgmt.compute.models import GalleryImageVersion, GalleryImageVersionUpdate

from tests.azure.double.bodies import check
from tests.azure.double.faults import Refused
from tests.azure.double.operations import Operations

PROVIDER = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-bleen-dev-weu/providers/Microsoft.Compute"


class Gallery:
    """One gallery: by image and version."""

    def __init__(self, operations: Operations | None = None) -> None:
        self.versions: dict[str, dict[str, dict[str, Any]]] = {}
        self._operations = operations or Operations()
        self._dates = (datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=k) for k in itertools.count())

    def define(self, image: str) -> None:
        """Make a definition, as `terraform apply` does."""
        self.versions.setdefault(image, {})

    def add(
        self, image: str, version: str, *, state: str = "Completed", regions: tuple[str, ...] = ("weu",), **tags: str
    ) -> str:
        """Publish a version, as Packer does; return its id."""
        there = f"{PROVIDER}/galleries/gal/images/{image}/versions/{version}"
        self.versions.setdefault(image, {})[version] = {
            "id": there,
            "name": version,
            "location": "weu",
            "tags": tags,
            "properties": {
                "provisioningState": "Succeeded",
                "publishingProfile": {
                    "publishedDate": next(self._dates).isoformat().replace("+00:00", "Z"),
                    "targetRegions": [{"name": region} for region in regions],
                },
                "storageProfile": {"osDiskImage": {"sizeInGB": 30}},
                "replicationStatus": {
                    "aggregatedState": state,
                    "summary": [{"region": region, "state": state, "progress": 100} for region in regions],
                },
            },
        }
        return there

    async def answer(self, request: web.Request, rest: str) -> web.Response:
        """GET gal/images[/IMAGE/versions[/VERSION]]."""
        words = rest.split("/")
        if request.method != "GET":
            return await self._change(request, words)
        if words[1:] == ["images"]:
            return web.json_response({"value": [{"name": name, "location": "weu", "properties": {}} for name in self.versions]})
        if words[2] not in self.versions:
            raise Refused(404, "ResourceNotFound", f"image {words[2]}")
        found = self.versions[words[2]]
        if len(words) == 4:
            bare = [
                {**each, "properties": {k: v for k, v in each["properties"].items() if k != "replicationStatus"}}
                for each in found.values()
            ]
            return web.json_response({"value": bare})
        if words[4] not in found:
            raise Refused(404, "ResourceNotFound", f"version {words[4]}")
        version = found[words[4]]
        if "$expand" in request.query or "$expand=ReplicationStatus" in request.query_string:
            return web.json_response(version)
        return web.json_response({**version, "properties": {**version["properties"], "replicationStatus": None}})

    async def _change(self, request: web.Request, words: list[str]) -> web.Response:
        """PUT, PATCH (of tags) or DELETE one version, each an operation."""
        image, name = words[2], words[4]
        if image not in self.versions:
            raise Refused(404, "ParentResourceNotFound", f"image {image}")
        there = self.versions[image].get(name)
        if request.method == "DELETE":
            if there is None:
                return web.Response(status=204)
            del self.versions[image][name]
            return web.Response(status=202, headers=self._begun(request, "delete"))
        body = await request.json()
        check(body, GalleryImageVersion if request.method == "PUT" else GalleryImageVersionUpdate)
        if request.method == "PUT" and there is None:
            if not body.get("properties", {}).get("storageProfile"):
                raise Refused(400, "InvalidParameter", "storageProfile: a version is made of a disk")
            targets = [each["name"] for each in body["properties"].get("publishingProfile", {}).get("targetRegions", [])]
            self.add(image, name, regions=tuple(targets) or (body["location"],), **body.get("tags", {}))
            return web.json_response(self.versions[image][name], status=201, headers=self._begun(request, "create"))
        if there is None:
            raise Refused(404, "ResourceNotFound", f"version {name}")
        there["tags"] = body.get("tags", there["tags"])
        return web.json_response(there, headers=self._begun(request, "update"))

    def _begun(self, request: web.Request, kind: str) -> dict[str, str]:
        path = self._operations.begin(f"{kind} version", _nothing())
        url = f"{request.scheme}://{request.host}{path}?api-version=2026-04-01"
        return {"Azure-AsyncOperation": url, "Location": url, "Retry-After": "0"}


async def _nothing() -> None:
    return None
