"""Notices: in memory, and by a real command."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.codec import decode
from bleen.domain.errors import Unreachable
from bleen.domain.notice import Notice
from bleen.providers.hook import Hook
from bleen.providers.memory.notices import MemoryNotices
from tests.contracts.notices import QUESTION, NoticesContract, tell_all

WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read())"


class TestMemory(NoticesContract):
    """The memory provider."""

    @pytest.fixture
    def notices(self) -> MemoryNotices:
        return MemoryNotices()

    @pytest.fixture
    def arrived(self, notices: MemoryNotices) -> Callable[[], Sequence[Notice]]:
        return lambda: notices.told

    @pytest.fixture
    def broken(self, notices: MemoryNotices) -> Callable[[], None]:
        def breaks() -> None:
            notices.answers = False

        return breaks


class TestHook(NoticesContract):
    """A command."""

    @pytest.fixture
    def notices(self, tmp_path: Path) -> Hook:
        return Hook([sys.executable, "-c", WRITE, str(tmp_path / "inbox" / "notices")])

    @pytest.fixture(autouse=True)
    def inbox(self, tmp_path: Path) -> Path:
        folder = tmp_path / "inbox"
        folder.mkdir()
        return folder

    @pytest.fixture
    def arrived(self, inbox: Path) -> Callable[[], Sequence[Notice]]:
        return lambda: [decode(line, Notice) for line in (inbox / "notices").read_text().splitlines()]

    @pytest.fixture
    def broken(self, inbox: Path) -> Callable[[], None]:
        def breaks() -> None:
            inbox.rmdir()

        return breaks


async def test_a_command_that_hangs_is_ended_and_reported(tmp_path: Path) -> None:
    """With whatever it has started."""
    with pytest.raises(Unreachable, match="took longer than"):
        await tell_all(Hook(["sh", "-c", "sleep 60 & sleep 60"], patience=0.2), QUESTION)


async def test_a_command_that_is_not_there_is_named() -> None:
    """The message says which setting to look at."""
    with pytest.raises(Unreachable, match=r"/nowhere/hook: No such file[\s\S]*BLEEN_NOTIFY"):
        await tell_all(Hook(["/nowhere/hook"]), QUESTION)


async def test_without_a_command_a_notice_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost silently."""
    await tell_all(Hook([]), QUESTION)
    assert "dev/hello/7" in caplog.text


async def test_without_a_command_the_log_has_what_somebody_may_have_to_act_on() -> None:
    """A promotion is in the ledger, and not a line among warnings as well."""
    assert list(await Hook([]).channels(QUESTION)) == ["log"]
    assert list(await Hook([]).channels(structs.replace(QUESTION, kind="promoted"))) == []
