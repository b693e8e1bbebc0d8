"""A look at a real site, for somebody who has one: reads only, and says what it could not see."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from azure.mgmt.compute.models import VirtualMachineScaleSet

from bleen.domain.codec import Value
from bleen.domain.errors import BleenError
from bleen.domain.fidelity import GatewayMode
from bleen.domain.fleet import Slot
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.edge import document_of
from bleen.providers.azure.errors import speaking, word
from bleen.providers.azure.gateway import Tier
from bleen.providers.azure.monitor import Monitor
from bleen.providers.azure.pools import edge_of, interface_of
from bleen.providers.azure.site import Container

NOT_VERIFIED = (
    "whether the identity may change anything: nothing was written",
    "whether a machine starts, becomes healthy, or ends without losing a request",
    "whether the zones have room; quota says only what the subscription may ask for",
    "whether the gateways route as they report",
    "whether Azure Monitor has all of a minute when that minute is counted",
)


class Checked(Value, frozen=True):
    """One thing that was looked at."""

    name: str
    good: bool
    detail: str
    next: str = ""
    """What to do; empty where all is well."""


async def smoke(azure: Azure) -> Sequence[Checked]:
    """Return what was looked at, in order. Nothing is changed; what raises is a finding."""
    looks: tuple[tuple[str, Callable[[Azure], Awaitable[Checked]]], ...] = (
        ("scale sets", _scale_sets),
        ("quota", _quota),
        ("gallery", _gallery),
        ("storage", _storage),
        ("gateways", _gateways),
    )
    if azure.site.gateway_mode is not GatewayMode.ENVOY:
        looks = (*looks, ("monitor", _monitor))
    return [await _look(azure, name, look) for name, look in looks]


async def _look(azure: Azure, name: str, look: Callable[[Azure], Awaitable[Checked]]) -> Checked:
    try:
        return await look(azure)
    except BleenError as error:
        return Checked(name, False, f"{error.what}: {error.why}" if error.why else error.what, error.next)


async def _scale_sets(azure: Azure) -> Checked:
    site = azure.site
    with speaking("read the scale sets"):
        found = [each async for each in azure.compute.virtual_machine_scale_sets.list(site.group)]
    ours = {slot: each for each in found if (slot := _slot(azure, each)) is not None}
    services = sorted({slot.service for slot in ours})
    if not services:
        return Checked("scale sets", False, f"{site.group} has none with the tags service and colour", "terraform apply")
    wrong = [f"{each.name}: {lack}" for each in ours.values() if (lack := _lack(each))]
    names = [(each.name, site.scale_set(slot)) for slot, each in ours.items()]
    wrong += [f"{name} should be {wanted}" for name, wanted in names if name != wanted]
    if wrong:
        return Checked("scale sets", False, "; ".join(wrong), "the module service makes them as they should be")
    return Checked("scale sets", True, f"{len(ours)} of {', '.join(services)}; what they are made of is as the module has it")


def _slot(azure: Azure, found: VirtualMachineScaleSet) -> Slot | None:
    tags = found.tags or {}
    return azure.site.slot(tags.get("service", ""), tags.get("colour", ""))


def _lack(found: VirtualMachineScaleSet) -> str:
    """Return what a scale set lacks that fleets rely on."""
    if found.orchestration_mode != "Flexible":
        return "it is not Flexible"
    if found.upgrade_policy and found.upgrade_policy.mode not in (None, "Manual"):
        return f"its upgrade mode is {word(found.upgrade_policy.mode)}: a new image would restart what serves"
    profile = found.virtual_machine_profile
    extensions = (profile.extension_profile.extensions or []) if profile and profile.extension_profile else []
    if not any(each.properties and each.properties.type == "ApplicationHealthLinux" for each in extensions):
        return "it has no health extension: no machine of it would ever be ready"
    return ""


async def _quota(azure: Azure) -> Checked:
    with speaking("read the quota"):
        usages = [each async for each in azure.compute.usage.list(azure.site.location)]
    cores = next((each for each in usages if each.name and each.name.value == "cores"), None)
    if cores is None or cores.current_value is None or cores.limit is None:
        return Checked("quota", False, f"Azure does not tell the cores of {azure.site.location}", "az vm list-usage")
    free = cores.limit - cores.current_value
    detail = f"{free} of {cores.limit} cores are free in {azure.site.location}"
    if free < cores.current_value / 2:
        return Checked("quota", False, f"{detail}: a rollout runs a service twice", "ask for more quota")
    return Checked("quota", True, detail)


async def _gallery(azure: Azure) -> Checked:
    site = azure.site
    with speaking("read the gallery"):
        images = [
            each.name or "" async for each in azure.compute.gallery_images.list_by_gallery(site.gallery_group, site.gallery)
        ]
        versions = azure.compute.gallery_image_versions
        found = []
        for name in images:
            found += [each async for each in versions.list_by_gallery_image(site.gallery_group, site.gallery, name)]
    bare = [each.name for each in found if not {"digest", "signature"} <= set(each.tags or {})]
    if bare:
        detail = f"without digest and signature, so that none of them may start: {', '.join(map(str, bare))}"
        return Checked("gallery", False, detail, "publish them with the Packer template")
    return Checked("gallery", True, f"{len(found)} versions of {len(images)} images, each with digest and signature")


async def _storage(azure: Azure) -> Checked:
    for name in Container:
        with speaking(f"read the container {name}"):
            async for _ in azure.container(name).list_blobs(results_per_page=1):
                break
    return Checked("storage", True, f"the containers {', '.join(Container)} can be read")


async def _gateways(azure: Azure) -> Checked:
    looks = {GatewayMode.ENVOY: _envoys, GatewayMode.FLIP: _edge, GatewayMode.MIXED: _pools}
    return await looks[azure.site.gateway_mode](azure)


async def _edge(azure: Azure) -> Checked:
    """Look at the gateway whose rules are flipped, and whether it has those of every service that has scale sets."""
    site = azure.site
    with speaking("read the gateway"):
        document = document_of(await azure.network.application_gateways.get(site.group, site.edge))
        found = [each async for each in azure.compute.virtual_machine_scale_sets.list(site.group)]
    services = sorted({slot.service for each in found if (slot := _slot(azure, each)) is not None})
    bare = [name for name in services if document.aim(name) is None]
    if bare:
        detail = f"{site.edge} has no two rules, each for a colour, of {', '.join(bare)}"
        return Checked("gateways", False, detail, "the module gateway-appgw-flip makes them")
    if not document.succeeded:
        return Checked("gateways", False, f"{site.edge} is {document.state}", "az network application-gateway show")
    aims = ", ".join(f"{name} is {aim.serving}" for name in services if (aim := document.aim(name)))
    return Checked("gateways", True, f"{site.edge} is at rest: {aims}")


async def _pools(azure: Azure) -> Checked:
    """Look at the gateway that mixes: whether every service that has scale sets has a pool, and how many are in each."""
    site = azure.site
    with speaking("read the gateway"):
        edge = edge_of(await azure.network.application_gateways.get(site.group, site.edge))
        found = [each async for each in azure.compute.virtual_machine_scale_sets.list(site.group)]
        listed = [interface_of(each) async for each in azure.network.network_interfaces.list(site.group)]
    services = sorted({slot.service for each in found if (slot := _slot(azure, each)) is not None})
    bare = [name for name in services if name not in edge.pools]
    if bare:
        detail = f"{site.edge} has no rule with a pool of its name of {', '.join(bare)}"
        return Checked("gateways", False, detail, "the module gateway-appgw-mixed makes them")
    if not edge.succeeded:
        return Checked("gateways", False, f"{site.edge} is {edge.state}", "az network application-gateway show")
    members = {name: sum(each is not None and each.within(edge.pools[name]) for each in listed) for name in services}
    told = ", ".join(f"{count} machines in the pool of {name}" for name, count in members.items())
    return Checked("gateways", True, f"{site.edge} is at rest: {told}")


async def _monitor(azure: Azure) -> Checked:
    """Ask Azure Monitor as verdicts do, and tell how it writes servers: no document says it."""
    now = datetime.now(UTC)
    answer = await Monitor(azure.metrics, azure.site).ask(now - timedelta(minutes=10), now)
    servers = sorted({f"{each.server} in {each.pool}" for each in answer.series})
    count = sum(sum(each.points.values()) for each in answer.series)
    told = f" by {', '.join(servers[:3])}{' and others' if len(servers) > 3 else ''}" if servers else ""
    return Checked("monitor", True, f"it counted {count:,} answers in ten minutes{told}, {answer.grain} at once")


async def _envoys(azure: Azure) -> Checked:
    reports = await Tier(azure.blobs).heard()
    silent = [f"{name}: {each.trouble}" for name, each in sorted(reports.items()) if not each.answered]
    if silent or not reports:
        return Checked("gateways", False, "; ".join(silent) or "none has ever reported", "look at the agent beside each Envoy")
    versions = ", ".join(map(str, sorted({each.version for each in reports.values()})))
    return Checked("gateways", True, f"{len(reports)} Envoys report, with version {versions} of the routes")
