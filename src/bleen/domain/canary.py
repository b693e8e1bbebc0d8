"""The canary strategy, as people write it: steps, and what the traffic must show."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from bleen.domain.check import Check
from bleen.domain.codec import Tagged, Text, Value, lasting
from bleen.domain.duration import Duration

Share = Annotated[float, Meta(ge=0, le=100, description="Percent, in steps of 0.01.", examples=[10])]
Ratio = Annotated[float, Meta(ge=1, le=100)]
MetricName = Annotated[
    str,
    Meta(
        pattern=r"^(?!(errors|latency)$)[a-z][a-z0-9-]{0,39}$",
        description="Lower-case letters, digits and dashes; `errors` and `latency` are taken.",
        examples=["checkout-failures"],
    ),
]
TokenName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        description="Letters, digits and dashes, as names of headers and cookies are.",
        examples=["x-team"],
    ),
]
TokenValue = Annotated[
    str, Meta(pattern=r"^[\x21-\x3a\x3c-\x7e]+$", description="Visible characters without `;`.", examples=["beta"])
]
Method = Annotated[str, Meta(pattern=r"^[A-Z]+$", description="A method of HTTP.", examples=["GET"])]


class Preset(StrEnum):
    """Canaries that need no thought."""

    CAREFUL = "careful"
    NORMAL = "normal"
    QUICK = "quick"


# ---- steps ----


class Weight(Tagged, frozen=True):
    """The new release gets this share of the traffic; its fleet is made large enough first."""

    percent: Share


class Resize(Tagged, frozen=True, tag="scale"):
    """The new fleet has so many instances from here on, whatever its share."""

    instances: Annotated[int, Meta(ge=1, le=1000, description="How many.")]


class Measure(Tagged, frozen=True):
    """Go on when the traffic has shown that the release is good; roll back when it shows that it is not."""

    max: Annotated[Duration, Meta(description="Without a verdict after this time, `inconclusive` decides.")] = lasting("30m")
    requests: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000_000)] | None,
        Meta(description="Not before the new release has had so many requests in this step."),
    ] = None


class Hold(Tagged, frozen=True, tag="pause"):
    """Stay as it is, for a time or until `bleen promote`."""

    duration: Annotated[Duration | None, Meta(description="How long; left out: until a person goes on.")] = field(
        default=None, name="for"
    )


class HeaderStep(Tagged, frozen=True, tag="header"):
    """Requests with this header reach the new release, whatever its share, until the rollout ends."""

    name: TokenName
    value: TokenValue


class CookieStep(Tagged, frozen=True, tag="cookie"):
    """Users with this cookie reach the new release, whatever its share, until the rollout ends."""

    name: TokenName
    value: TokenValue


class MirrorStep(Tagged, frozen=True, tag="mirror"):
    """A share of the stable release's requests is sent to the new one too; its answers are thrown away."""

    percent: Share
    methods: Annotated[
        tuple[Method, ...],
        Meta(min_length=1, description="Which requests; anything else than reading may be done twice.", examples=[["GET"]]),
    ] = ("GET", "HEAD")


class CheckStep(Tagged, frozen=True, tag="check"):
    """Checks on the new release; one that fails rolls it back."""

    checks: Annotated[tuple[Check, ...], Meta(min_length=1, description="What to check.")]


class JudgeStep(Tagged, frozen=True, tag="judge"):
    """A person says yes with `bleen promote`, or no with `bleen abort`."""

    question: Annotated[Text, Meta(description="What they are asked.")] = ""
    within: Annotated[
        Duration | None, Meta(description="Without an answer after this time, it is rolled back; left out: it waits.")
    ] = None


CanaryStep = Weight | Resize | Measure | Hold | HeaderStep | CookieStep | MirrorStep | CheckStep | JudgeStep


# ---- what the traffic must show ----


class Tolerance(Value, frozen=True):
    """How much worse than the stable release the new one may be."""

    ratio: Annotated[Ratio, Meta(description="Worse than so many times is rolled back.")] = 1.5
    weight: Annotated[
        float, Meta(ge=0, le=1000, description="Its part of the error rate beside the other metrics; 0 leaves it out.")
    ] = 1.0


class Events(Tagged, frozen=True):
    """Bad events among all events, counted by the instances themselves or by PromQL, compared as errors are."""

    name: MetricName
    bad: Annotated[
        Text,
        Meta(
            min_length=1,
            description="A counter on the instances' metrics page, or PromQL: `{release}` stands for `r2`.",
            examples=["jobs_failed_total"],
        ),
    ]
    total: Annotated[Text, Meta(min_length=1, description="The counter of all events.", examples=["jobs_total"])]
    ratio: Annotated[Ratio, Meta(description="Worse than so many times is rolled back.")] = 1.5
    weight: Annotated[float, Meta(ge=0, le=1000, description="Its part of the error rate.")] = 1.0
    page: Annotated[
        str,
        Meta(pattern=r"^(/\S*)?$", description="The instances' metrics page; empty asks Prometheus.", examples=["/metrics"]),
    ] = ""
    every: Annotated[Duration, Meta(description="Between two readings.")] = lasting("5s")


class Number(Tagged, frozen=True):
    """A number of the new release that must stay within bounds, from PromQL or from a command."""

    name: MetricName
    query: Annotated[Text, Meta(description="PromQL that gives one number; `{release}` stands for `r2`.")] = ""
    run: Annotated[
        tuple[Text, ...], Meta(description="Or a command that prints it; it finds `BLEEN_RELEASE` in its environment.")
    ] = ()
    min: Annotated[float | None, Meta(description="Fails below.")] = None
    max: Annotated[float | None, Meta(description="Fails above.")] = None
    strikes: Annotated[int, Meta(ge=1, le=1000, description="So many times in a row.")] = 3
    every: Annotated[Duration, Meta(description="Between two readings.")] = lasting("10s")


Metric = Events | Number


class Unsure(StrEnum):
    """What becomes of a release that the traffic could not judge in time."""

    ROLLBACK = "rollback"
    ASK = "ask"


class Synthetic(Value, frozen=True):
    """Requests that Bleen itself sends to both releases, as many to one as to the other, for a service with few users."""

    path: Annotated[
        str, Meta(pattern=r"^/\S*$", description="What to ask for; it is counted as users' requests are.", examples=["/"])
    ]
    rate: Annotated[int, Meta(ge=1, le=200, description="Requests a second to each release.")] = 5


class Analysis(Value, frozen=True):
    """What the traffic must show, and how sure one has to be."""

    errors: Annotated[Tolerance, Meta(description="Failed requests: answers of the class 5xx, and none at all.")] = field(
        default_factory=Tolerance
    )
    latency: Annotated[Tolerance, Meta(description="Slow requests, over the whole distribution.")] = field(
        default_factory=lambda: Tolerance(weight=0.3)
    )
    metrics: Annotated[tuple[Metric, ...], Meta(description="Metrics of one's own.")] = ()
    false_alarms: Annotated[
        float, Meta(gt=0, le=0.2, description="The share of good releases that may be rolled back by chance, over all time.")
    ] = 0.01
    misses: Annotated[float, Meta(gt=0, le=0.2, description="The share of too bad releases that may pass by chance.")] = 0.05
    synthetic: Annotated[
        Synthetic | None, Meta(description="Requests of Bleen's own beside the users'; left out: users' alone.")
    ] = None
    slack: Annotated[
        float,
        Meta(
            ge=0.001,
            le=100,
            description="Percent of failures that a pass tolerates beyond the ratio: beside a release that never fails, no "
            "number of requests would show less. Smaller takes longer: 0.3 takes about 3,000 requests, 0.1 10,000.",
        ),
    ] = 0.3
    starting_step: Annotated[
        int,
        Meta(ge=1, le=1000, description="From this step on, counted from 1, the traffic may roll it back at any time."),
    ] = 1
    learn: Annotated[
        Duration,
        Meta(
            description="What is usual of the stable release is learned for so long, from the start, before the first weight."
        ),
    ] = lasting("20s")
    bake: Annotated[Duration, Meta(description="No pass before the release has had traffic for so long.")] = lasting("1m")
    warm_up: Annotated[
        Duration, Meta(description="Latencies of the first seconds with traffic are left out; errors never are.")
    ] = lasting("5s")
    outage: Annotated[
        float, Meta(gt=0, le=100, description="Percent of failed requests from which on the stable release counts as sick.")
    ] = 20.0
    after: Annotated[
        Ratio,
        Meta(description="While the old fleet is warm: worse than so many times what it was before the switch is rolled back."),
    ] = 3.0


class Affinity(Value, frozen=True):
    """A user stays with a release as long as the shares allow it, and the shares stay true."""

    cookie: Annotated[TokenName, Meta(description="The cookie that tells users apart; made where there is none.")] = (
        "bleen-user"
    )
    lifetime: Annotated[Duration, Meta(description="How long a cookie that was made lasts.")] = lasting("7d")
