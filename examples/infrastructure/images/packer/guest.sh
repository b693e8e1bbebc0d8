#!/bin/sh
# Makes guest.tar: the guest that every machine has, and all that it needs, as wheels. Prints what yours.pkrvars.hcl has to say of it.
#
# sh guest.sh 'bleen[guest]==1.2.3' guest.tar   (or a wheel: 'dist/bleen-1.2.3-py3-none-any.whl[guest]')
#
# Run it with the Python of the machines, which is Debian 12's: 3.11.
set -eu

wanted=$1
target=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/wheels"
python3 -m pip download --quiet --disable-pip-version-check --only-binary :all: --dest "$work/wheels" "$wanted"
tar --create --file="$target" --directory="$work" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,go-w wheels
echo "guest        = \"$target\""
echo "guest_sha256 = \"$(sha256sum "$target" | cut -d' ' -f1)\""
