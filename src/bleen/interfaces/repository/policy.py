"""``infrastructure/policy.yaml``: which findings block a release where, and who answers for which of them."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from bleen.domain.codec import convert
from bleen.domain.finding import Severity
from bleen.domain.policy import Policy
from bleen.interfaces.repository.document import Document, plain_value, read_document
from bleen.interfaces.repository.problem import InvalidFiles, Problem
from bleen.interfaces.repository.sense import line_of
from bleen.interfaces.repository.shape import mismatches

POLICY = Path("infrastructure/policy.yaml")


def policy_around(start: Path) -> Policy:
    """Return the policy of the repository that ``start`` is in; the default one outside of any."""
    folder = next((folder for folder in (start, *start.parents) if (folder / POLICY).exists()), start)
    return load_policy(folder)


def load_policy(root: Path) -> Policy:
    """Return the policy of the repository, or the default one where it has none; InvalidFiles carries every problem."""
    if not (root / POLICY).exists():
        return Policy()
    policy, problems = examine_policy(root / POLICY)
    if policy is None or problems:
        raise InvalidFiles(problems)
    return policy


def examine_policy(path: Path) -> tuple[Policy | None, list[Problem]]:
    """Return the policy, if its file has the right shape, and every problem of it."""
    document = read_document(path)
    problems = [*document.problems, *mismatches(document, Policy)]
    if problems or document.root is None:
        return None, problems
    policy: Policy = convert(plain_value(document.root), Policy)
    return policy, list(_impossible(document, policy))


def _impossible(document: Document, policy: Policy) -> Iterator[Problem]:
    """Yield waivers of things that cannot be waived so."""
    for number, waiver in enumerate(policy.waivers):
        try:
            date.fromisoformat(waiver.expires)
        except ValueError:
            line = line_of(document, "waivers", str(number), "expires")
            why = "a waiver counts up to a day that there is"
            yield Problem(str(document.file), line, 1, f"there is no day {waiver.expires}", why, "expires: 2027-01-31")
        if waiver.finding in [str(severity) for severity in Severity]:
            line = line_of(document, "waivers", str(number), "finding")
            why = "a waiver is of one finding, not of all that are as bad"
            yield Problem(str(document.file), line, 1, f"`{waiver.finding}` is no finding", why, "finding: CVE-2024-1234")
