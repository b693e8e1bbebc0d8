"""Loads moons.csv into a database in memory when datasette starts: the data is part of the release."""

import csv
import logging
import os
from pathlib import Path

from datasette import hookimpl

COLUMNS = "name text primary key, planet text, radius_km integer, orbit_days real, discovered integer"


# The gateway logs requests; a second line for each would cost a fifth of an instance.
logging.getLogger("uvicorn.access").addFilter(lambda record: False)


@hookimpl
def startup(datasette):
    async def load():
        with (Path(os.environ["BLEEN_FILES"]) / "moons.csv").open(encoding="utf-8", newline="") as stream:
            rows = [[value or None for value in row] for row in list(csv.reader(stream))[1:]]
        moons = datasette.add_memory_database("moons")
        await moons.execute_write(f"create table moons ({COLUMNS})")
        await moons.execute_write_many("insert into moons values (?, ?, ?, ?, ?)", rows)

    return load
