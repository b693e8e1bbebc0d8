"""The description of the API against the API: schemathesis sends what it allows and what it does not."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from tests.interfaces.estate import TOKEN, Estate

HEADERS = {"authorization": f"Bearer {TOKEN}"}
EXAMPLES = 4
"""Requests of each operation; a wrong schema is found by the first few."""
ENDLESS = "/v1/events"
LEFT_OUT = frozenset({"ignored_auth", "positive_data_acceptance", "use_after_free", "ensure_resource_availability"})
"""Who may is another test's; and a request can be well-formed and make no sense, such as a log that is not that long."""

load_all_checks()
ASKED = [check for check in CHECKS.get_all() if check.__name__ not in LEFT_OUT]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What the API says of itself."""
    estate = Estate(tmp_path_factory.mktemp("estate"))
    estate.up()
    yield schemathesis.openapi.from_url(f"{estate.address}/schema/openapi.json", headers=HEADERS)
    estate.down()


def test_no_request_finds_a_500_or_a_lie(described: Any) -> None:
    """Every operation, with what its schema allows and with what it does not: each answer is one that is described."""
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @given(operation.as_strategy())
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def holds(case: Any) -> None:
            case.validate_response(case.call(headers=HEADERS, timeout=20), headers=HEADERS, checks=ASKED)

        if operation.path != ENDLESS:
            holds()


def test_the_description_is_whole(described: Any) -> None:
    """OpenAPI 3.1; every write says what it reads, closed to other keys; every operation says its errors and its purpose."""
    document = described.raw_schema
    assert document["openapi"].startswith("3.1")
    operations = [o for path in document["paths"].values() for o in path.values() if isinstance(o, dict)]
    assert all(o["responses"]["default"] and (o.get("summary") or o.get("description")) for o in operations)
    order = document["components"]["schemas"]["TokenOrder"]
    assert (order["additionalProperties"], sorted(order["required"])) == (False, ["by", "grants", "name"])
    assert document["paths"]["/healthz"]["get"]["security"] == [{}]
