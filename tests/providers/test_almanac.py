"""Public holidays: in memory, and of the library."""

import pytest

from bleen.domain.calendar import PublicHolidays
from bleen.providers.almanac import HolidayAlmanac
from bleen.providers.memory.almanac import MemoryAlmanac
from tests.contracts.almanac import AlmanacContract


class TestMemory(AlmanacContract):
    """The memory provider."""

    @pytest.fixture
    def almanac(self) -> MemoryAlmanac:
        return MemoryAlmanac()


class TestLibrary(AlmanacContract):
    """The library ``holidays``."""

    @pytest.fixture
    def almanac(self) -> HolidayAlmanac:
        return HolidayAlmanac()


def test_holidays_that_move_are_known() -> None:
    """Easter Monday of two years, and Thanksgiving."""
    almanac = HolidayAlmanac()
    days = {one.day: one.name for one in almanac.holidays(PublicHolidays("DE"), [2026, 2027])}
    assert days["2026-04-06"] == days["2027-03-29"] == "Easter Monday"
    assert "2027-11-25" in {one.day for one in almanac.holidays(PublicHolidays("US"), [2027])}
