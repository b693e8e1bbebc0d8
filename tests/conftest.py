"""What every test shares."""

import gc

import pytest

# CPython before 3.11.8 can fail with "AST constructor recursion depth mismatch" when the garbage collector runs while
# pytest rewrites a module's assertions (python/cpython#106905). Collection is short: it can do without the collector.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Collect garbage again once every module is imported."""
    gc.enable()
