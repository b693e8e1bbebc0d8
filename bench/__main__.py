"""``python -m bench [NAME]``: run one benchmark, or all; exit 1 where one could not be run."""

import importlib
import sys
from pathlib import Path

from bench.report import Report


def names() -> list[str]:
    """Return every module here that has figures to show."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if "def run() -> Report" in path.read_text())


def main(wanted: list[str]) -> int:
    """Run what is wanted."""
    known = names()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no benchmark {unknown[0]!r}: there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in wanted or known:
        report: Report = importlib.import_module(f"bench.{name}").run()
        path = report.write()
        report.show()
        print(f"\n{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
