"""The fault storm: ``python -m bench.soak``. Real processes are killed, frozen and starved while real requests are answered.

Each round begins something (a deployment of a good or a bad release, a rollback, an abort, an approval), strikes once or
twice at a random moment, and waits until the platform is whole and the rollout has ended. Then it counts: requests lost
that a healthy instance could have served, routes that the ledger does not explain, processes left over.

BLEEN_SOAK_FAULTS   how many faults (200)
BLEEN_SOAK_SEED     the seed (another one each time); printed
BLEEN_SOAK_FIRST    begin at this round: with the seed of a failed storm, its failed round alone (1)
BLEEN_SOAK_ONLY     only faults whose name contains this
BLEEN_SOAK_MINUTES  stop by itself after so long, whatever is left (60)
"""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any

from bench.storm.plan import plan
from bench.storm.storm import Storm
from bench.storm.toll import Toll


async def storm(seed: str, faults: int, first: int, minutes: float) -> Toll:
    """Play rounds until ``faults`` have struck; return the toll."""
    toll, deadline = Toll(), time.monotonic() + 60 * minutes
    number, stage = first, Storm(seed, toll)
    if not stage.mounted:
        print("no small disk can be mounted here (needs root): a full disk is left out", flush=True)
    try:
        await stage.begin()
        while toll.faults < faults and time.monotonic() < deadline:
            if not await stage.play(plan(seed, number)):
                print("  the platform is not fit for another round: a new one takes its place", flush=True)
                await stage.end()
                stage = Storm(seed, toll)
                await stage.begin()
            number += 1
    except asyncio.CancelledError:
        print("told to stop", flush=True)
    finally:
        toll.wrong += await stage.end()
    return toll


async def _until_told(doing: Coroutine[Any, Any, Toll]) -> Toll:
    """Do it; end it in order on SIGINT and SIGTERM, also where a shell has them ignored."""
    task = asyncio.ensure_future(doing)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Run the storm; 1 where anything was wrong."""
    seed = os.environ.get("BLEEN_SOAK_SEED") or secrets.token_hex(4)
    faults = int(os.environ.get("BLEEN_SOAK_FAULTS") or 200)
    first = int(os.environ.get("BLEEN_SOAK_FIRST") or 1)
    minutes = float(os.environ.get("BLEEN_SOAK_MINUTES") or 60)
    print(f"seed {seed}: {faults} faults, about {faults * 0.2:.0f} minutes, at most {minutes:g}", flush=True)
    began = time.monotonic()
    toll = asyncio.run(_until_told(storm(seed, faults, first, minutes)))
    toll.show(seed, time.monotonic() - began)
    return 1 if toll.wrong or toll.lost else 0


if __name__ == "__main__":
    sys.exit(main())
