"""What a policy blocks, what a waiver covers, and until when."""

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bleen.domain.finding import Finding, Severity, not_checked
from bleen.domain.policy import Policy, Waiver, blocked, covers, entry_of, expired, judge

TODAY = date(2026, 11, 25)
BAD = Finding("CVE-2026-1", Severity.CRITICAL, "it is bad", "libfoo", "1.0", "1.1", fix="use libfoo 1.1")
IMAGE = f"sha256:{1:064x}"

findings = st.builds(
    Finding,
    id=st.sampled_from(["CVE-1", "CVE-2", "setuid"]),
    severity=st.sampled_from(Severity),
    what=st.just("bad"),
    package=st.sampled_from(["", "a", "b"]),
    where=st.sampled_from(["", "x", "y"]),
)
waivers = st.builds(
    Waiver,
    finding=st.sampled_from(["CVE-1", "CVE-2", "setuid"]),
    owner=st.just("ann"),
    reason=st.just("because"),
    expires=st.dates(date(2026, 1, 1), date(2027, 12, 31)).map(date.isoformat),
    package=st.sampled_from(["", "a", "b"]),
    where=st.sampled_from(["", "x", "y"]),
)
policies = st.builds(
    Policy,
    block=st.lists(st.sampled_from(Severity), unique=True).map(tuple),
    environments=st.dictionaries(st.sampled_from(["dev", "production"]), st.lists(st.sampled_from(Severity)).map(tuple)),
    waivers=st.lists(waivers, max_size=4).map(tuple),
)


def waiver(**more: str) -> Waiver:
    return Waiver(**{"finding": BAD.id, "owner": "ann", "reason": "not reachable", "expires": "2026-12-31", **more})


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(findings, max_size=8).map(tuple), policies, st.sampled_from(["dev", "production"]))
def test_every_finding_is_blocking_or_waived_or_open(found: tuple[Finding, ...], policy: Policy, environment: str) -> None:
    """None is lost and none is told twice; what blocks is of a severity that blocks there, and the rest is not."""
    said = judge(found, policy, environment, TODAY)
    outlived = sum(expired(waiver, TODAY) for waiver in policy.waivers)
    assert len(said.blocking) + len(said.waived) + len(said.open) == len(found) + outlived
    blocks = policy.blocking(environment)
    assert all(finding.severity in blocks for finding in said.blocking)
    assert all(finding.severity not in blocks for finding in said.open)
    assert all(covers(w.waiver, w.finding) and not expired(w.waiver, TODAY) for w in said.waived)
    assert said.allowed == (not said.blocking)


def test_the_default_policy_lets_through_what_nobody_could_check() -> None:
    """A machine that can ask nobody still deploys, and says what it did not check; a critical finding blocks anywhere."""
    unknown = not_checked("the host", "it is no part of the image", "patch it", "host")
    for environment in ("dev", "production"):
        said = judge((unknown,), Policy(), environment, TODAY)
        assert said.allowed and said.open == (unknown,)
        assert not judge((BAD,), Policy(), environment, TODAY).allowed


def test_what_was_not_checked_blocks_where_the_policy_says_so() -> None:
    """By its severity, as anything else does."""
    unknown = not_checked("the host", "it is no part of the image", "patch it", "host")
    policy = Policy(environments={"production": (Severity.NOT_CHECKED,)})
    assert judge((unknown,), policy, "dev", TODAY).allowed
    assert not judge((unknown,), policy, "production", TODAY).allowed


@pytest.mark.parametrize(
    ("more", "allowed"),
    [
        ({}, True),
        ({"package": "libfoo"}, True),
        ({"package": "libbar"}, False),
        ({"where": "x"}, False),
        ({"finding": "X"}, False),
    ],
)
def test_a_waiver_covers_what_it_names(more: dict[str, str], allowed: bool) -> None:
    """And nothing else."""
    assert judge((BAD,), Policy(waivers=(waiver(**more),)), "dev", TODAY).allowed is allowed


def test_a_waiver_counts_up_to_its_last_day_and_then_is_a_finding() -> None:
    """It is not forgotten in silence: its owner is named, and what it waived blocks again."""
    policy = Policy(waivers=(waiver(expires="2026-11-25"),))
    assert judge((BAD,), policy, "dev", TODAY).allowed
    said = judge((BAD,), policy, "dev", date(2026, 11, 26))
    assert said.blocking == (BAD,)
    assert "by ann expired on 2026-11-25" in said.open[0].what


def test_a_blocked_image_names_the_finding_the_package_and_the_fix() -> None:
    """Whoever reads the message knows what to do."""
    error = blocked("hello", judge((BAD, BAD), Policy(), "dev", TODAY))
    assert "CVE-2026-1 in libfoo 1.0 fixed in 1.1" in error.what and "and 1 more" in error.what
    assert "use libfoo 1.1" in error.next and "bleen image scan hello --env dev" in error.next


def test_the_ledger_keeps_what_decided_and_what_was_not_checked() -> None:
    """And how many findings there were of each severity."""
    unknown = not_checked("the host", "it is no part of the image", "patch it", "host")
    entry = entry_of(IMAGE, judge((BAD, unknown), Policy(), "dev", TODAY))
    assert (entry.allowed, entry.blocking, entry.counts) == (False, (BAD,), {"critical": 1, "not-checked": 1})
    assert entry.not_checked == (unknown.what,)
