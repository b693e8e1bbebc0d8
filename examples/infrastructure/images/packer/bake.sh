#!/bin/sh
# Makes one version of an image in the gallery: for BLEEN_AZURE_BAKE="sh /path/to/bake.sh /path/to/yours.pkrvars.hcl".
#
# It gets what is to be baked as JSON on its standard input: image, version, digest, signature, and the folder with the files. `yours`
# has what is the same for all: subscription, gallery, regions. Packer refuses a version that is there.
set -eu

variables=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/baking.json"
told() {
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/baking.json" "$1"
}

# The same files make the same payload: sorted, without dates and owners.
tar --create --file="$work/image.tar" --directory="$(told tree)" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
sum=$(sha256sum "$work/image.tar" | cut -d' ' -f1)

cd "$here"
packer "${PACKER_VERB:-build}" -var-file="$variables" \
  -var "image=$(told image)" -var "version=$(told version)" \
  -var "digest=$(told digest)" -var "signature=$(told signature)" \
  -var "payload=$work/image.tar" -var "payload_sha256=$sum" .
