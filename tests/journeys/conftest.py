"""The platform that the journeys of one file share: more of them would watch each other's instances."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bleen.app.home import free_port
from bleen.app.platform import LocalPlatform
from bleen.settings import Ports, Settings, read_settings
from tests.journeys.stage import Stage, open_stage


def settings_in(home: Path) -> Settings:
    """Return the settings of a platform in ``home`` that meets no other: every port is a free one."""
    settings = read_settings({"BLEEN_HOME": str(home)})
    return structs.replace(settings, ports=Ports(gateway=0, api=0, services=free_port()))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A running platform."""
    yield from open_stage(LocalPlatform(settings_in(tmp_path_factory.mktemp("journeys") / "home")))
