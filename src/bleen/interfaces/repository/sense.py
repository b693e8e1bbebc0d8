"""What the types of a service file cannot say: how its keys fit together."""

import re
from collections.abc import Iterator

from bleen.domain.duration import Duration
from bleen.domain.image import Npm, Pypi
from bleen.domain.service import BlueGreen, Service
from bleen.interfaces.repository.document import Document, Scalar, locate
from bleen.interfaces.repository.places import Places, Sense
from bleen.interfaces.repository.problem import Problem
from bleen.interfaces.repository.proof import PROOF
from bleen.interfaces.repository.shape import nearest
from bleen.interfaces.repository.walk import WALK

PLACEHOLDERS = ("address", "port", "app")
_SECRETIVE = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIALS?)$", re.IGNORECASE)
# Zero is a fair answer everywhere else: no drain, no warm fleet, no delay.
_NEVER_ZERO = (
    ("health", "interval"),
    ("health", "timeout"),
    ("health", "start_grace"),
    ("strategy", "progress_deadline"),
)


def contradictions(document: Document, service: Service) -> list[Problem]:
    """Return what cannot work, or was hardly meant, though every key alone is right."""
    if document.root is None:
        return []
    found: list[Problem] = []
    for check in _CHECKS:
        found += check(Places(document, document.root), service)
    return found


def _preview_fits(at: Places, service: Service) -> Iterator[Problem]:
    preview = service.strategy.preview_instances if isinstance(service.strategy, BlueGreen) else None
    if preview and preview > service.instances:
        what = f"`strategy.preview_instances` is {preview}, and the whole service has {service.instances}"
        why = "the preview is the new fleet before it is complete"
        yield at.error(("strategy", "preview_instances"), what, why, f"preview_instances: {service.instances}")


def _approval_makes_sense(at: Places, service: Service) -> Iterator[Problem]:
    strategy = service.strategy
    if isinstance(strategy, BlueGreen) and strategy.auto_promote and strategy.auto_promote_after is not None:
        why = "a release that is promoted by itself waits for no one"
        what = "`strategy.auto_promote_after` has no effect"
        yield at.error(("strategy", "auto_promote_after"), what, why, "auto_promote: false beside it, or leave it out")


def _durations_last(at: Places, service: Service) -> Iterator[Problem]:
    for group, key in _NEVER_ZERO:
        if not getattr(getattr(service, group), key):
            yield at.error((group, key), f"`{group}.{key}` lasts no time at all", "it must be longer than 0s", f"{key}: 1s")
    for when in ("before", "after"):
        for number, check in enumerate(getattr(service.strategy.checks, when)):
            if not check.timeout:
                what = f"`strategy.checks.{when}[{number}].timeout` lasts no time at all"
                steps = ("strategy", "checks", when, str(number), "timeout")
                yield at.error(steps, what, "it must be longer than 0s", "timeout: 5s")


def _deadlines_fit(at: Places, service: Service) -> Iterator[Problem]:
    health, deadline = service.health, service.strategy.progress_deadline
    soonest = Duration(seconds=health.interval.total_seconds() * (health.successes - 1))
    if soonest >= health.start_grace > Duration():
        what = f"an instance can never be ready within `health.start_grace` ({health.start_grace})"
        why = f"{health.successes} successes, {health.interval} apart, take {soonest}"
        yield at.error(("health", "start_grace"), what, why, f"start_grace: {Duration(seconds=soonest.total_seconds() * 2)}")
    elif Duration() < deadline <= health.start_grace:
        what = f"`strategy.progress_deadline` ({deadline}) is not longer than `health.start_grace` ({health.start_grace})"
        why = "a rollout would be undone while its first instance may still be starting"
        longer = Duration(seconds=health.start_grace.total_seconds() * 2)
        steps = ("strategy", "progress_deadline") if at.written("strategy", "progress_deadline") else ("health", "start_grace")
        yield at.error(steps, what, why, f"progress_deadline: {longer} (in `strategy`)")


def _placeholders_are_known(at: Places, service: Service) -> Iterator[Problem]:
    for number, word in enumerate(service.command):
        for name in re.findall(r"\{(\w+)\}", word):
            near = nearest(name, list(PLACEHOLDERS))
            if name not in PLACEHOLDERS and near:
                known = ", ".join(f"{{{p}}}" for p in PLACEHOLDERS)
                what = f"`{{{name}}}` in `command` stands for nothing"
                yield at.error(("command", str(number)), what, f"what Bleen fills in is {known}", f'"{{{near}}}"')


def _listens_where_it_must(at: Places, service: Service) -> Iterator[Problem]:
    """A program from a package index cannot know ``BLEEN_ADDRESS`` and ``BLEEN_PORT``; our own may read them."""
    if not isinstance(service.image, Pypi | Npm):
        return
    said = " ".join(service.command)
    meant = {nearest(name, list(PLACEHOLDERS)) for name in re.findall(r"\{(\w+)\}", said)}
    missing = [name for name in ("address", "port") if name not in meant and f"BLEEN_{name.upper()}" not in said]
    if missing:
        words = " and ".join(f"`{{{name}}}`" for name in missing)
        why = "each instance has an address of its own, and must listen there and nowhere else"
        yield at.warning(("command",), f"`command` does not say {words}", why, f"the option of {service.image.package} for it")


def _secrets_are_references(at: Places, service: Service) -> Iterator[Problem]:
    for name, value in service.env.items():
        if isinstance(value, str) and value and _SECRETIVE.search(name):
            what = f"`env.{name}` looks like a secret in plain text"
            why = "a value in this file is in the repository, in the ledger and in every release"
            yield at.warning(("env", name), what, why, f"{name}: {{secret: {name}}}")


def _hosts_are_named_once(at: Places, service: Service) -> Iterator[Problem]:
    for number, host in enumerate(service.hosts):
        if host in service.hosts[:number]:
            yield at.error(("hosts", str(number)), f"`{host}` is in `hosts` twice", "", "it once")


_CHECKS: tuple[Sense, ...] = (
    _preview_fits,
    _approval_makes_sense,
    _durations_last,
    _deadlines_fit,
    _placeholders_are_known,
    _listens_where_it_must,
    _secrets_are_references,
    _hosts_are_named_once,
    *WALK,
    *PROOF,
)


def secrets_of(service: Service) -> tuple[str, ...]:
    """Return the names of the secrets that ``service`` needs, sorted."""
    return tuple(sorted({value.secret for value in service.env.values() if not isinstance(value, str)}))


def line_of(document: Document, *steps: str) -> int:
    """Return the line of a key's value; that of what is above it where it is left to its default."""
    place = locate(document.root, *steps) if document.root else Scalar(0, 0, "", None)
    return place.line
