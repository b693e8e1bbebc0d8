#!/bin/sh
# Every package of the lock, in that version: apt checks who signed it, and sha256sum that it is the one that was locked.
set -eu
mkdir -p "$PACKAGES"
cd "$PACKAGES"
apt-get update -q
set --
while read -r _ name version; do
  set -- "$@" "$name=$version"
done <"$INPUTS/packages.txt"
apt-get download -q "$@"
while read -r digest name _; do
  mv -- "${name}"_*.deb "$name.deb"
  echo "$digest  $name.deb" | sha256sum --check --strict --quiet
done <"$INPUTS/packages.txt"
