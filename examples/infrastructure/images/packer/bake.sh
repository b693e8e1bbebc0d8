#!/bin/sh
# Makes one version of an image in the gallery: for BLEEN_AZURE_BAKE="sh /path/to/bake.sh /path/to/yours.pkrvars.hcl".
#
# It gets what is to be baked as JSON on its standard input: image, version, digest, signature, base, the folder with the files, and
# a home with those of its parts that the machine's guest starts the image from.
# `yours` has what is the same for all: subscription, gallery, regions, the guest. Packer refuses a version that is there.
set -eu

variables=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Whoever is told to end waits for Packer, which was told the same and takes its machine down first.
trap 'exit 143' INT TERM

cat > "$work/baking.json"
told() {
  python3 -c 'import json, sys
found = json.load(open(sys.argv[1]))[sys.argv[2]]
print(found if isinstance(found, str) else "\n".join(found))' "$work/baking.json" "$1"
}

base=$(told base)
if [ "$base" != host ]; then
  echo "this template starts from Debian's own machine, and the image stands on the base $base" >&2
  echo "bake it with a template of the base's recipe, which bleen image packer writes" >&2
  exit 1
fi

# The same parts make the same payload: sorted, without dates and owners, and readable to the guest, which is nobody in particular.
told parts > "$work/parts"
tar --create --file="$work/image.tar" --directory="$(told home)" --files-from="$work/parts" \
  --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,go-w
sum=$(sha256sum "$work/image.tar" | cut -d' ' -f1)

cd "$here"
packer "${PACKER_VERB:-build}" -var-file="$variables" \
  -var "image=$(told image)" -var "version=$(told version)" \
  -var "digest=$(told digest)" -var "signature=$(told signature)" \
  -var "payload=$work/image.tar" -var "payload_sha256=$sum" .
