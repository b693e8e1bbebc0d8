"""The contract kit of the port `Almanac`."""

import pytest

from bleen.domain.calendar import Holiday, PublicHolidays
from bleen.domain.errors import InvalidInput
from bleen.ports import Almanac


class AlmanacContract:
    """What every almanac keeps. A subclass has the fixture ``almanac``."""

    def test_a_country_has_its_holidays_by_day(self, almanac: Almanac) -> None:
        """Each year that was asked for, in order."""
        found = almanac.holidays(PublicHolidays("DE"), range(2026, 2028))
        assert Holiday("2026-01-01", "New Year's Day") in found and Holiday("2027-01-01", "New Year's Day") in found
        assert [one.day for one in found] == sorted(one.day for one in found)
        assert {one.day[:4] for one in found} == {"2026", "2027"}

    def test_a_part_of_it_has_some_more(self, almanac: Almanac) -> None:
        """The 8th of March is one in Berlin."""
        whole = {one.day for one in almanac.holidays(PublicHolidays("DE"), [2027])}
        berlin = {one.day for one in almanac.holidays(PublicHolidays("DE", "BE"), [2027])}
        assert berlin > whole and "2027-03-08" in berlin - whole

    @pytest.mark.parametrize("asked", [PublicHolidays("XX"), PublicHolidays("DE", "XXX")])
    def test_a_place_that_it_does_not_know_is_refused(self, almanac: Almanac, asked: PublicHolidays) -> None:
        """With what to write instead: no holidays would be taken for no holidays."""
        with pytest.raises(InvalidInput, match="are known") as refused:
            almanac.holidays(asked, [2027])
        assert refused.value.next
