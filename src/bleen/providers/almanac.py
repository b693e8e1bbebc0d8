"""Port `Almanac` by the library ``holidays``, which knows 150 countries and their parts."""

from collections.abc import Iterable, Sequence

from bleen.domain.calendar import Holiday, PublicHolidays
from bleen.domain.errors import InvalidInput


class HolidayAlmanac:
    """Knows the public holidays of whole countries and of their parts, under their English names where it has them."""

    def holidays(self, asked: PublicHolidays, years: Iterable[int]) -> Sequence[Holiday]:
        """See `bleen.ports.Almanac`."""
        import holidays  # a tenth of a second, for whoever has a calendar

        known = holidays.list_supported_countries()
        if asked.country not in known:
            why = "countries are two letters, by ISO 3166"
            raise InvalidInput(f"no holidays of {asked.country} are known", why=why, next="country: DE")
        parts = known[asked.country]
        if asked.subdivision and asked.subdivision not in parts:
            why = f"there is {', '.join(parts)}" if parts else f"{asked.country} has no parts with holidays of their own"
            what = f"no holidays of {asked.country}-{asked.subdivision} are known"
            raise InvalidInput(what, why=why, next=f"subdivision: {parts[0]}" if parts else "leave subdivision out")
        found = holidays.country_holidays(asked.country, subdiv=asked.subdivision or None, years=list(years), language="en_US")
        return [Holiday(day.isoformat(), name) for day, name in sorted(found.items())]
