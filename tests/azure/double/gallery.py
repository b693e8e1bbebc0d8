"""Versions of images in a gallery."""

from typing import Any

from aiohttp import web

from tests.azure.double.faults import Refused

PROVIDER = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-bleen-dev-weu/providers/Microsoft.Compute"


class Gallery:
    """One gallery: by image and version."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, dict[str, Any]]] = {}

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
                    "publishedDate": "2026-11-01T00:00:00Z",
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
            raise Refused(405, "MethodNotAllowed")
        if words[1:] == ["images"]:
            return web.json_response({"value": [{"name": name, "location": "weu", "properties": {}} for name in self.versions]})
        found = self.versions.get(words[2], {})
        if not found:
            raise Refused(404, "ResourceNotFound", f"image {words[2]}")
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
