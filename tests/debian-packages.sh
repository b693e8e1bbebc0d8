#!/bin/sh
# Installs the Debian packages that tests (with "soak", those that take minutes; with "bench", benchmarks) use, where apt and root allow. Never fails:
# a test whose package is missing says so when it is skipped.
set -u
packages="chromium wrk prometheus packer umoci mmdebstrap openscap-scanner ssg-debderived"
[ "${1:-}" = soak ] && packages="$packages qemu-system-x86"
[ "${1:-}" = bench ] && packages="chromium wrk prometheus packer umoci mmdebstrap hey haproxy nginx-light debootstrap"
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
# A package that brings a service would start it, and enable it for the next boot: only its program is wanted.
start_nothing=/usr/sbin/policy-rc.d
[ -e $start_nothing ] || { printf '#!/bin/sh\nexit 101\n' >$start_nothing && chmod 755 $start_nothing && trap 'rm -f $start_nothing' EXIT; }
had_prometheus=$(command -v prometheus)
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 || echo "apt could not install:$missing"
[ -n "$had_prometheus" ] || { update-rc.d prometheus disable; deb-systemd-helper disable prometheus.service; } >/dev/null 2>&1
exit 0
