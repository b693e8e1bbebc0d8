"""A release is made only of an image that the policy lets through, and the ledger says what was found."""

import pytest
from msgspec import structs

from bleen.domain.finding import Finding, Severity, not_checked
from bleen.domain.ledger import Query
from bleen.domain.policy import Gated, Policy, Waiver
from bleen.workflows.messages import DeployResult, Refused, Started
from tests.workflows.stage import ENVIRONMENT, Stage, eventually

HOLE = Finding("CVE-2026-1", Severity.CRITICAL, "a hole", "libfoo", "1.0", "1.1", fix="use libfoo 1.1")
HOST = not_checked("the operating system", "it is the machine's own", "patch the machine", "host")


async def gates(stage: Stage) -> list[Gated]:
    entries = await stage.memory.read(Query(service=stage.service, environment=ENVIRONMENT, kinds=("gated",)))
    return [entry.event for entry in entries if isinstance(entry.event, Gated)]


async def deploy(stage: Stage, policy: Policy) -> DeployResult:
    return await stage.control.deploy(structs.replace(stage.request("1"), policy=policy))


async def test_a_blocked_image_becomes_no_release(stage: Stage) -> None:
    """The refusal names the finding, the package and the fix; nothing was started, and the ledger knows why."""
    stage.scanner.find("1", HOLE, HOST)
    refused = await deploy(stage, Policy())
    assert isinstance(refused, Refused) and refused.error == "ImageBlocked"
    assert "CVE-2026-1 in libfoo 1.0 fixed in 1.1" in refused.what and "use libfoo 1.1" in refused.next
    assert not await stage.memory.releases(stage.service)
    (entry,) = await gates(stage)
    assert (entry.allowed, entry.blocking, entry.not_checked) == (False, (HOLE,), (HOST.what,))


async def test_people_hear_of_a_deployment_that_a_gate_refuses(stage: Stage) -> None:
    """Once, with the finding and what to type."""
    stage.scanner.find("1", HOLE)
    assert isinstance(await deploy(stage, Policy()), Refused)

    async def told() -> bool:
        return bool(stage.notices.told)

    await eventually(told, "somebody heard of it")
    [notice] = stage.notices.told
    assert (notice.kind, notice.environment, notice.service) == ("gate-failed", ENVIRONMENT, stage.service)
    assert "CVE-2026-1 in libfoo 1.0" in notice.what and "bleen image scan" in notice.next


@pytest.mark.parametrize("found", [(), (HOST,)])
async def test_what_is_let_through_is_in_the_ledger_before_its_release(stage: Stage, found: tuple[Finding, ...]) -> None:
    """With what nobody checked."""
    stage.scanner.find("1", *found)
    assert isinstance(await deploy(stage, Policy()), Started)
    entries = await stage.memory.read(Query(service=stage.service, environment=ENVIRONMENT))
    kinds = [type(entry.event).__name__ for entry in entries]
    assert kinds.index("Gated") < kinds.index("ReleaseMade")
    assert (await gates(stage))[0].not_checked == tuple(finding.what for finding in found)


async def test_a_waived_finding_blocks_no_more_and_is_kept_with_its_owner(stage: Stage) -> None:
    """Who took responsibility is in the ledger for ever."""
    stage.scanner.find("1", HOLE)
    assert isinstance(await deploy(stage, Policy()), Refused)
    waiver = Waiver(finding=HOLE.id, owner="ann", reason="not reachable", expires="2999-12-31")
    assert isinstance(await deploy(stage, Policy(waivers=(waiver,))), Started)
    assert (await gates(stage))[-1].waived[0].waiver == waiver
