"""Bills of materials: the packages of an image in the formats that other programs read.

Equal images give equal bytes: a bill has no date of its own, and its serial number is made of the image's digest.
"""

import json
import uuid
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.exception import CycloneDxException
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from license_expression import ExpressionError, get_spdx_licensing  # type: ignore[import-untyped]
from packageurl import PackageURL

from bleen import __version__
from bleen.domain.image import Image
from bleen.domain.inventory import Inventory, Package
from bleen.domain.provenance import bare

_NAMESPACE = uuid.UUID("1c3d7ac8-53ac-5e67-9f4e-6d2d9a6a6c1d")
_EPOCH = "1970-01-01T00:00:00Z"
"""SPDX demands a date; one that varied would make two bills of one image differ."""
_LICENSES = get_spdx_licensing()


def cyclonedx(image: Image, inventory: Inventory) -> str:
    """Return the packages as CycloneDX 1.6, in JSON."""
    bom = Bom(serial_number=serial_number(image), version=1)
    bom.metadata.component = root = Component(
        name=image.name,
        version=image.version,
        type=ComponentType.CONTAINER,
        bom_ref=image.digest,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=bare(image.digest))],
        properties=[Property(name="bleen:base", value=image.base), Property(name="bleen:runtime", value=image.runtime)],
    )
    tool = Component(name="bleen", version=__version__, type=ComponentType.APPLICATION)
    bom.metadata.tools.components.add(tool)
    for package in inventory.packages:
        bom.components.add(component := _component(package))
        bom.register_dependency(root, [component])
    said: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del said["metadata"]["timestamp"]
    return json.dumps(said, indent=2, sort_keys=True) + "\n"


def _component(package: Package) -> Component:
    source = [Property(name="bleen:source", value=f"{package.source} {package.source_version}")] if package.source else []
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=package.purl,
        purl=PackageURL.from_string(package.purl),
        licenses=_licenses(package),
        properties=[Property(name="bleen:where", value=package.where), *source],
    )


def _licenses(package: Package) -> list[License]:
    if not package.license:
        return []
    try:
        return [LicenseFactory().make_from_string(package.license)]
    except CycloneDxException:
        return []


def spdx(image: Image, inventory: Inventory) -> str:
    """Return the packages as SPDX 2.3, in JSON."""
    root = {"name": image.name, "SPDXID": "SPDXRef-image", "versionInfo": image.version, "downloadLocation": "NOASSERTION"}
    root["primaryPackagePurpose"] = "CONTAINER"
    packages = [_spdx_package(number, package) for number, package in enumerate(inventory.packages)]
    said = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{image.name} {image.version}",
        "documentNamespace": f"urn:uuid:{serial_number(image)}",
        "creationInfo": {"created": _EPOCH, "creators": [f"Tool: bleen-{__version__}"]},
        "packages": [{**root, "filesAnalyzed": False, "checksums": [_checksum(image)]}, *packages],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"),
            *(_relation("SPDXRef-image", "CONTAINS", package["SPDXID"]) for package in packages),
        ],
    }
    return json.dumps(said, indent=2, sort_keys=True) + "\n"


def _spdx_package(number: int, package: Package) -> dict[str, Any]:
    purl = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl}
    return {
        "name": package.name,
        "SPDXID": f"SPDXRef-package-{number}",
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseDeclared": _spdx_license(package.license),
        "externalRefs": [purl],
    }


def _spdx_license(text: str) -> str:
    """Return the expression where SPDX knows every license in it; what else a package says is no assertion there."""
    try:
        return str(_LICENSES.parse(text, validate=True)) if text else "NOASSERTION"
    except ExpressionError:
        return "NOASSERTION"


def _checksum(image: Image) -> dict[str, str]:
    return {"algorithm": "SHA256", "checksumValue": bare(image.digest)}


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def serial_number(image: Image) -> uuid.UUID:
    """Return the number of the bill: equal images have one."""
    return uuid.uuid5(_NAMESPACE, image.digest)
