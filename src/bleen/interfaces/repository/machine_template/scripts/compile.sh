#!/bin/sh
# Python's modules, compiled by the base's own Python, so that every instance starts fast.
set -eu
cd "$ROOT"
for python in usr/bin/python3.[0-9]*; do
  [ -x "$python" ] || continue
  # 1: some did not compile. Packages carry templates and tests for other Pythons, which no program imports.
  find . -name '*.py' -type f | cut -c 2- | LC_ALL=C sort |
    chroot "$ROOT" "/$python" -m compileall -q --invalidation-mode unchecked-hash -i - || [ $? -eq 1 ]
done
