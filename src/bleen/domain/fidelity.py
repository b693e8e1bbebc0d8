"""What a lesser gateway of Azure cannot do that is asked of it: told before a rollout or a removal, and not in its midst."""

from collections.abc import Iterator
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from msgspec import Meta, field

from bleen.domain.canary import CanaryStep, CookieStep, HeaderStep, Measure, MirrorStep, Weight
from bleen.domain.check import Check, HttpCheck
from bleen.domain.codec import Value
from bleen.domain.duration import seconds
from bleen.domain.errors import InvalidInput
from bleen.domain.mixing import Mix, exact
from bleen.domain.service import Canary, Service
from bleen.domain.strategy import PRESETS, hundredths, sizes
from bleen.domain.traffic import WHOLE, Split, share


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
_NO_LATENCIES = "Azure Monitor has averages of latencies alone, from which no distribution can be compared"
_THIRD = "Application Gateway has no place for a third fleet of a service"
_LATE = "Azure Monitor tells of a minute three minutes after it began"
SOONEST = seconds(300)
"""A measurement that is shorter would end before anything is known of it: with `bleen.providers.azure.sums.SETTLED`."""
_NO_ROUTING = "Application Gateway sends a request on by its host alone"
_NO_PREVIEW = "an instance that is in the pool has traffic, and one that is not answers nobody: there is no preview"
_OWN_STEPS = "steps of one's own, with weights that the instances can give, or gateway_mode envoy"
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
    steps = zip(canary.steps or PRESETS[canary.preset], sizes(canary, instances), strict=True)
    found = [
        lack
        for number, (step, new) in enumerate(steps)
        if (lack := _of_step(mode, step, Mix(instances, new), (*_STEPS, str(number)))) is not None
    ]
    if canary.steps:
        yield from found
    else:  # nobody wrote these steps: the preset is what can be changed, and one reason is enough
        instead = _OWN_STEPS if mode is GatewayMode.MIXED else _BLUE_GREEN
        yield from (Lack(("strategy", "preset"), f"`{canary.preset}`: {each.what}", each.why, instead) for each in found[:1])
    if canary.affinity is not None:
        yield Lack(("strategy", "affinity"), "users cannot be kept with a release", _NO_ROUTING, _BLUE_GREEN)
    if canary.baseline:
        yield Lack(("strategy", "baseline"), "a baseline fleet cannot be compared", _THIRD, "baseline: false")
    yield from _of_analysis(mode, canary)


def _of_analysis(mode: GatewayMode, canary: Canary) -> Iterator[Lack]:
    """Yield what nobody counts there, or could be told of one release."""
    at, analysis = ("strategy", "analysis"), canary.analysis
    measured = any(isinstance(step, Measure) for step in canary.steps or PRESETS[canary.preset])
    if mode is GatewayMode.MIXED and measured and analysis.latency.weight and not canary.side_by_side:
        yield Lack(at, "latencies cannot be compared", _NO_LATENCIES, "analysis: {latency: {weight: 0}}")
    if analysis.synthetic is not None:
        what = "requests of Bleen's own cannot be sent to one release"
        yield Lack((*at, "synthetic"), what, _NO_ROUTING, "no `synthetic`: users' requests alone")


def _of_step(mode: GatewayMode, step: CanaryStep, there: Mix, at: tuple[str, ...]) -> Lack | None:
    """Return what ``mode`` cannot do of a step; blue is how many there are of the stable release then, green of the new one."""
    match step:
        case Weight(percent) if mode is GatewayMode.FLIP and percent != 100:
            return Lack((*at, "percent"), f"a weight of {percent:g} % cannot be given", _ONE_COLOUR, _BLUE_GREEN)
        case Weight(percent) if mode is GatewayMode.MIXED:
            return _of_share(percent, there, (*at, "percent"))
        case Measure() if mode is GatewayMode.FLIP:
            what = "a release cannot be measured before it has all traffic"
            return Lack(at, what, _ONE_COLOUR, "{type: pause, for: 10m} after 100 %: the traffic is watched then")
        case Measure(longest) if longest < SOONEST:
            return Lack((*at, "max"), f"nothing would be measured within {longest}", _LATE, f"max: {Measure().max}")
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


def _of_share(percent: float, there: Mix, at: tuple[str, ...]) -> Lack | None:
    """Return why instances cannot give a weight: never, or only by fewer of them than the service has."""
    wanted, what = hundredths(percent), f"a weight of {percent:g} % cannot be given"
    if _served(wanted, there):
        return None
    larger = (new for new in range(there.green, there.blue + 1) if _served(wanted, Mix(there.blue, new)))
    if (new := next(larger, None)) is not None:
        why = (
            f"a share is a share of instances, and {there.blue} and {there.green} cannot bear it by as many as the service has"
        )
        return Lack(at, what, why, f"the same, after {{type: scale, instances: {new}}}")
    shares = [each for each in _shares(there.blue) if _served(each, Mix(there.blue, max(1, share(there.blue, each))))]
    nearest = min(shares, key=lambda each: abs(each - wanted))
    why = f"a share is a share of instances, and there are {there.blue}"
    return Lack(at, what, why, f"percent: {nearest / 100:g}")


def _served(weight: int, there: Mix) -> bool:
    mix = exact(Split(WHOLE - weight, weight), there)
    return weight == WHOLE or (mix is not None and mix.total >= there.blue)


def _shares(instances: int) -> set[int]:
    """Return the shares, in hundredths of a percent, that members of both colours in one pool can have; all among them."""
    counts = range(1, instances + 1)
    found = {Fraction(WHOLE * new, new + old) for new in counts for old in (0, *counts)}
    return {int(each) for each in found if each.denominator == 1}
