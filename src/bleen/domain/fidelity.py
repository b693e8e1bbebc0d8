"""What a lesser gateway of Azure cannot do that is asked of it: told before a rollout or a removal, and not in its midst."""

from collections.abc import Iterator
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from msgspec import Meta, field

from bleen.domain.canary import CanaryStep, CookieStep, HeaderStep, Measure, MirrorStep, Weight
from bleen.domain.check import Check, HttpCheck
from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput
from bleen.domain.service import Canary, Service
from bleen.domain.strategy import PRESETS


class GatewayMode(StrEnum):
    """What splits the traffic of an environment, as `gateway_mode` in its Terraform."""

    ENVOY = "envoy"
    FLIP = "appgw-flip"
    MIXED = "appgw-mixed"


Modes = Annotated[
    dict[str, GatewayMode],
    Meta(description="The gateways of each environment: `envoy`; `appgw-flip` and `appgw-mixed` can do less."),
]


class Estate(Value, frozen=True):
    """`infrastructure/azure.yaml`: what a repository says of its environments in Azure."""

    gateways: Modes = field(default_factory=dict)


class Lack(Value, frozen=True):
    """Something that a gateway cannot do, at its place in the service file."""

    place: tuple[str, ...]
    what: str
    why: str
    instead: str


_STEPS = ("strategy", "steps")
_ONE_COLOUR = "Application Gateway sends all of a service to one colour: 0 or 100 %"
_NOT_TOLD_APART = "Application Gateway counts no requests by release, so that nothing could be measured"
_NO_ROUTING = "Application Gateway sends a request on by its host alone"
_NO_PREVIEW = "an instance that is in the pool has traffic, and one that is not answers nobody: there is no preview"
_BLUE_GREEN = "strategy: {type: blue-green}, or gateway_mode envoy"


def lacks(mode: GatewayMode, service: Service) -> Iterator[Lack]:
    """Yield what ``service`` asks for and a gateway of ``mode`` cannot do."""
    if mode is GatewayMode.ENVOY:
        return
    if isinstance(service.strategy, Canary):
        yield from _of_canary(mode, service.strategy, service.instances)
    if mode is GatewayMode.MIXED:
        yield from _of_checks(service.strategy.checks.before)


def refuse_beyond(mode: GatewayMode, environment: str, service: Service) -> None:
    """Raise InvalidInput for what a gateway of ``mode`` cannot do of ``service``."""
    found = list(lacks(mode, service))
    if found:
        first, more = found[0], f", and {len(found) - 1} more" if len(found) > 1 else ""
        tells = "bleen validate tells all of it, with infrastructure/azure.yaml"
        raise InvalidInput(
            f"{first.what} in {environment}, whose gateway is {mode}{more}",
            why=first.why,
            next=f"in place of {'.'.join(first.place)}: {first.instead}\n{tells}",
        )


def refuse_removal_behind(mode: GatewayMode, environment: str, service: str) -> None:
    """Raise InvalidInput where a gateway of ``mode`` cannot be without a route that it has."""
    if mode is GatewayMode.FLIP:
        raise unremovable(environment, service)


def unremovable(environment: str, service: str) -> InvalidInput:
    """Return the error for a route that a gateway has to keep."""
    return InvalidInput(
        f"the gateway of {environment} cannot answer 404 for {service}",
        why="a rule of Application Gateway refers to a pool, always",
        next=f"take {service} out of services in Terraform, when nothing of it runs any more",
    )


def _of_canary(mode: GatewayMode, canary: Canary, instances: int) -> Iterator[Lack]:
    found = [
        lack
        for number, step in enumerate(canary.steps or PRESETS[canary.preset])
        if (lack := _of_step(mode, step, instances, (*_STEPS, str(number)))) is not None
    ]
    if canary.steps:
        yield from found
    else:  # nobody wrote these steps: the preset is what can be changed, and one reason is enough
        yield from (
            Lack(("strategy", "preset"), f"`{canary.preset}`: {each.what}", each.why, _BLUE_GREEN) for each in found[:1]
        )
    if canary.affinity is not None:
        yield Lack(("strategy", "affinity"), "users cannot be kept with a release", _NO_ROUTING, _BLUE_GREEN)
    if canary.baseline:
        yield Lack(("strategy", "baseline"), "a baseline fleet cannot be compared", _NOT_TOLD_APART, "baseline: false")


def _of_step(mode: GatewayMode, step: CanaryStep, instances: int, at: tuple[str, ...]) -> Lack | None:
    match step:
        case Weight(percent) if mode is GatewayMode.FLIP and percent != 100:
            return Lack((*at, "percent"), f"a weight of {percent:g} % cannot be given", _ONE_COLOUR, _BLUE_GREEN)
        case Weight(percent) if mode is GatewayMode.MIXED and Fraction(str(percent)) not in (shares := _shares(instances)):
            nearest = min(shares, key=lambda each: abs(each - Fraction(str(percent))))
            why = f"a share is a share of instances, and there are {instances}"
            return Lack((*at, "percent"), f"a weight of {percent:g} % cannot be given", why, f"percent: {float(nearest):g}")
        case Measure():
            return Lack(at, "nothing can be measured", _NOT_TOLD_APART, "{type: pause}, in which a person decides")
        case HeaderStep() | CookieStep() | MirrorStep():
            kind = {HeaderStep: "header", CookieStep: "cookie", MirrorStep: "mirror"}[type(step)]
            return Lack(
                at, f"a step of the type `{kind}` cannot be carried out", _NO_ROUTING, "no such step, or gateway_mode envoy"
            )
        case _:
            return None


def _of_checks(checks: tuple[Check, ...]) -> Iterator[Lack]:
    for number, check in enumerate(checks):
        if isinstance(check, HttpCheck):
            at = ("strategy", "checks", "before", str(number))
            yield Lack(at, "a release cannot be asked before it has traffic", _NO_PREVIEW, "the check in `after`")


def _shares(instances: int) -> set[Fraction]:
    """Return the shares, in percent to a hundredth, that members of both colours in one pool can have; 100 % among them."""
    counts = range(1, instances + 1)
    found = {Fraction(100 * new, new + old) for new in counts for old in (0, *counts)}
    return {share for share in found if (share * 100).denominator == 1}
