#!/bin/sh
# Installs the Debian packages that tests (or, with "bench", benchmarks) use, where apt and root allow. Never fails:
# a test whose package is missing says so when it is skipped.
set -u
packages="wrk"
[ "${1:-}" = bench ] && packages="wrk hey haproxy nginx-light"
missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed (needs apt and root):$missing"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 || echo "apt could not install:$missing"
exit 0
