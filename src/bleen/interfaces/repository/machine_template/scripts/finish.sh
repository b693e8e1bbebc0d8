#!/bin/sh
# What the scripts of packages would have made: one file of certificates, accounts, the usual alternatives.
set -eu
cd "$ROOT"
if [ -d usr/share/ca-certificates ]; then
  mkdir -p etc/ssl/certs
  find usr/share/ca-certificates -name '*.crt' ! -type d | LC_ALL=C sort | while IFS= read -r file; do
    printf '%s\n' "$(cat "$file")"
  done >etc/ssl/certs/ca-certificates.crt
fi
mkdir -p etc usr/bin
for name in passwd group; do
  if [ ! -e "etc/$name" ] && [ -e "usr/share/base-passwd/$name.master" ]; then
    cp "usr/share/base-passwd/$name.master" "etc/$name"
  fi
done
while read -r name program; do
  if [ -e "usr/bin/$program" ] && [ ! -e "usr/bin/$name" ]; then ln -s "$program" "usr/bin/$name"; fi
done <<END
awk mawk
which which.debianutils
pager more
END
: >etc/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
