#!/bin/sh
# Makes the archive of what a machine runs of Bleen, and all that it needs, as wheels. Prints what yours.pkrvars.hcl has to say of it.
#
# sh wheels.sh 'bleen[guest]==1.2.3' guest.tar       for packer/, or a wheel: 'dist/bleen-1.2.3-py3-none-any.whl[guest]'
# sh wheels.sh 'bleen[gateway]==1.2.3' gateway.tar   for packer-gateway/
#
# Run it with the Python of the machines, which is Debian 12's: 3.11.
set -eu

wanted=$1
target=$2
name=$(basename "$target" .tar)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/wheels"
python3 -m pip download --quiet --disable-pip-version-check --only-binary :all: --dest "$work/wheels" "$wanted"
tar --create --file="$target" --directory="$work" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,go-w wheels
echo "$name = \"$target\""
echo "${name}_sha256 = \"$(sha256sum "$target" | cut -d' ' -f1)\""
