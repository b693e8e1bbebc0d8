"""A plan as a picture: modules with what they make, regions as boxes of modules, lines to what a module is given."""

from collections import Counter
from collections.abc import Iterator
from html import escape
from typing import Any

import msgspec

_SHORT = {
    "lb": "load balancer",
    "lb_backend_address_pool": "backend pool",
    "lb_probe": "probe",
    "lb_rule": "balancing rule",
    "orchestrated_virtual_machine_scale_set": "scale set",
    "subnet_network_security_group_association": "group on a subnet",
    "subnet_nat_gateway_association": "way out of a subnet",
    "postgresql_flexible_server": "PostgreSQL server",
    "postgresql_flexible_server_active_directory_administrator": "PostgreSQL administrator",
    "postgresql_flexible_server_configuration": "PostgreSQL setting",
    "postgresql_flexible_server_database": "database",
    "postgresql_flexible_server_virtual_endpoint": "virtual endpoint",
    "monitor_data_collection_rule_association": "collection of a machine",
    "web_application_firewall_policy": "firewall policy",
    "private_dns_zone_virtual_network_link": "link of a zone",
    "consumption_budget_resource_group": "budget",
}
_LINE, _PAD, _GAP, _HEAD = 15, 10, 18, 22
_WIDE = 236


class Box(msgspec.Struct):
    """A module, with what it makes and the modules inside it."""

    name: str
    lines: list[str]
    inside: list["Box"]
    x: float = 0
    y: float = 0

    @property
    def columns(self) -> list[list["Box"]]:
        """Return the inner boxes in two columns of like height."""
        columns: list[list[Box]] = [[], []]
        for box in sorted(self.inside, key=lambda box: (-box.height, box.name)):
            min(columns, key=lambda column: sum(inner.height + _GAP for inner in column)).append(box)
        return [column for column in columns if column]

    @property
    def width(self) -> float:
        """Return how wide it is drawn."""
        if not self.inside:
            return _WIDE
        return _GAP + sum(max(inner.width for inner in column) + _GAP for column in self.columns)

    @property
    def height(self) -> float:
        """Return how high it is drawn."""
        deepest = max((sum(inner.height + _GAP for inner in column) for column in self.columns), default=0)
        return _HEAD + _PAD + len(self.lines) * _LINE + deepest


def diagram(name: str, plan: dict[str, Any]) -> str:
    """Return the SVG of a plan."""
    root = plan["planned_values"]["root_module"]
    boxes = {child["address"].removeprefix("module."): _box(child) for child in root["child_modules"]}
    own = _lines(root)
    uses = _uses(plan["configuration"]["root_module"], set(boxes))
    layers = _layers(boxes, uses)
    wide = max(sum(boxes[n].width + _GAP * 2 for n in layer) for layer in layers)
    y = 64.0 + len(own) * _LINE
    for layer in layers:
        x = (wide - sum(boxes[n].width + _GAP * 2 for n in layer)) / 2 + _GAP * 2
        for n in layer:
            _put(boxes[n], x, y)
            x += boxes[n].width + _GAP * 2
        y += max(boxes[n].height for n in layer) + 44
    return _svg(name, own, boxes, uses, wide + _GAP * 2, y)


def _box(module: dict[str, Any]) -> Box:
    name = module["address"].rsplit("module.", 1)[1].removesuffix("[0]")
    # Terraform tells its modules in any order.
    inside = sorted(module.get("child_modules", []), key=lambda child: str(child["address"]))
    return Box(name, _lines(module), [_box(child) for child in inside])


def _lines(module: dict[str, Any]) -> list[str]:
    kinds = (found["type"].removeprefix("azurerm_") for found in module.get("resources", []) if found["mode"] == "managed")
    counted = Counter(_SHORT.get(kind, kind.replace("_", " ")) for kind in kinds)
    return [f"{count} x {kind}" if count > 1 else kind for kind, count in sorted(counted.items())]


def _uses(configuration: dict[str, Any], names: set[str]) -> dict[str, set[str]]:
    """Return which modules each module is given something of."""
    calls = configuration["module_calls"]
    return {name: {used for used in _named(calls[name].get("expressions", {})) if used in names} for name in names}


def _named(value: Any) -> Iterator[str]:
    match value:
        case {"references": list(found)}:
            yield from (word.split(".")[1] for word in found if word.startswith("module."))
        case dict():
            for inner in value.values():
                yield from _named(inner)
        case list():
            for inner in value:
                yield from _named(inner)


def _layers(boxes: dict[str, Box], uses: dict[str, set[str]]) -> list[list[str]]:
    """Return the modules by how far above the ground they stand; the ground uses nobody, and is drawn last."""
    depth: dict[str, int] = {}

    def deep(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((deep(used) for used in uses[name]), default=-1)
        return depth[name]

    for name in boxes:
        deep(name)
    highest = max(depth.values())
    return [sorted(name for name in boxes if depth[name] == level) for level in range(highest, -1, -1)]


def _put(box: Box, x: float, y: float) -> None:
    box.x, box.y = x, y
    below = y + _HEAD + _PAD + len(box.lines) * _LINE
    left = x + _GAP
    for column in box.columns:
        top = below
        for inner in column:
            _put(inner, left, top)
            top += inner.height + _GAP
        left += max(inner.width for inner in column) + _GAP


def _svg(name: str, own: list[str], boxes: dict[str, Box], uses: dict[str, set[str]], wide: float, high: float) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" height="{high:.0f}"'
        ' font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{wide:.0f}" height="{high:.0f}" fill="#ffffff"/>',
        _text(_GAP * 2, 30, f"{name}: what its plan makes", "16", "600"),
        *(_text(_GAP * 2, 50 + n * _LINE, line) for n, line in enumerate(own)),
    ]
    for user in sorted(uses):
        for used in sorted(uses[user]):
            parts.append(_way(boxes[user], boxes[used]))
    for key in sorted(boxes):
        parts += _drawn(boxes[key])
    return "\n".join([*parts, "</svg>", ""])


def _way(user: Box, used: Box) -> str:
    x1, y1 = user.x + user.width / 2, user.y + user.height
    x2, y2 = used.x + used.width / 2, used.y
    middle = (y1 + y2) / 2
    path = f"M{x1:.0f} {y1:.0f} C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}"
    return f'<path d="{path}" fill="none" stroke="#8aa1b8" stroke-width="1.2"/>'


def _drawn(box: Box, depth: int = 0) -> list[str]:
    fill = ("#f2f6fa", "#ffffff")[depth % 2]
    return [
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="6"'
        f' fill="{fill}" stroke="#3d5a77"/>',
        _text(box.x + _PAD, box.y + 16, box.name, "12", "600"),
        *(_text(box.x + _PAD, box.y + 16 + _LINE * (n + 1), line) for n, line in enumerate(box.lines)),
        *(part for inner in box.inside for part in _drawn(inner, depth + 1)),
    ]


def _text(x: float, y: float, text: str, size: str = "11", weight: str = "400") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" fill="#1d2b38">{escape(text)}</text>'
