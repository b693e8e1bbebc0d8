"""Public holidays in memory."""

from collections.abc import Iterable, Sequence

from bleen.domain.calendar import Holiday, PublicHolidays
from bleen.domain.errors import InvalidInput


class MemoryAlmanac:
    """Port `Almanac`: knows Germany, where New Year is a holiday, and Berlin, which has the 8th of March as well."""

    def holidays(self, asked: PublicHolidays, years: Iterable[int]) -> Sequence[Holiday]:
        """See `bleen.ports.Almanac`."""
        if asked.country != "DE":
            raise InvalidInput(f"no holidays of {asked.country} are known", why="there is DE", next="country: DE")
        if asked.subdivision not in ("", "BE"):
            raise InvalidInput(f"no holidays of DE-{asked.subdivision} are known", why="there is BE", next="subdivision: BE")
        women = [("03-08", "International Women's Day")] if asked.subdivision else []
        return [Holiday(f"{year}-{day}", name) for year in sorted(years) for day, name in [("01-01", "New Year's Day"), *women]]
