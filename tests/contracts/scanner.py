"""The kit of the port `Scanner`: subclass `ScannerContract` and give it a fixture ``bench``."""

import json
from typing import Protocol

import pytest

from bleen.domain.errors import NotFound
from bleen.domain.inventory import BillFormat
from bleen.ports import Scanner

NOWHERE = f"sha256:{0:064x}"


class ScannerBench(Protocol):
    """A provider, and an image that has the npm package `left` 1.2.3 in it."""

    @property
    def scanner(self) -> Scanner: ...

    @property
    def digest(self) -> str: ...


class ScannerContract:
    """What every scanner does."""

    @pytest.mark.parametrize(
        ("form", "key", "value"), [("cyclonedx", "bomFormat", "CycloneDX"), ("spdx", "spdxVersion", "SPDX-2.3")]
    )
    async def test_a_bill_is_json_of_its_format(self, bench: ScannerBench, form: str, key: str, value: str) -> None:
        """With the packages of the image."""
        bill = await bench.scanner.bill(bench.digest, BillFormat(form))
        assert json.loads(bill)[key] == value
        assert '"left"' in bill

    @pytest.mark.parametrize("form", BillFormat)
    async def test_a_bill_is_the_same_each_time(self, bench: ScannerBench, form: BillFormat) -> None:
        """Byte by byte."""
        assert await bench.scanner.bill(bench.digest, form) == await bench.scanner.bill(bench.digest, form)

    async def test_what_was_never_built_is_not_found(self, bench: ScannerBench) -> None:
        """Nothing is said of an image that is not there."""
        with pytest.raises(NotFound):
            await bench.scanner.bill(NOWHERE, BillFormat.CYCLONEDX)
        with pytest.raises(NotFound):
            await bench.scanner.scan(NOWHERE)

    async def test_a_scan_says_what_it_looked_at(self, bench: ScannerBench) -> None:
        """Of that image; twice the same, the worst first."""
        scan, again = await bench.scanner.scan(bench.digest), await bench.scanner.scan(bench.digest)
        assert scan.image == bench.digest and scan.checks
        assert (scan.checks, scan.findings) == (again.checks, again.findings)
        assert [f.severity.rank for f in scan.findings] == sorted(f.severity.rank for f in scan.findings)
