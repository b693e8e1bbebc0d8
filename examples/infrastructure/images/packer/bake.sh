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

told parts > "$work/parts"

# The base of a recipe is no machine: it lies in the store beside the image, and the guest verifies it and shows it to the instance
# as its system. So it has to come along, that of the digest and no other.
base=$(told base)
case $base in
host) below="" ;;
sha256:*) below="trees/${base#sha256:} manifests/${base#sha256:}.json provenance/${base#sha256:}" ;;
*)
  echo "$base is no base: it is host, or the digest of one" >&2
  exit 1
  ;;
esac
for part in $below; do
  if ! grep --quiet --line-regexp --fixed-strings "images/$part" "$work/parts"; then
    echo "the image stands on the base $base, and what is to be baked has no images/$part" >&2
    echo "no machine starts an image whose base it cannot verify, and no other base takes its place" >&2
    echo "bleen image verify $(told digest) says what is wrong; bleen deploy $(told image) builds and bakes what is missing" >&2
    exit 1
  fi
done

# The same parts make the same payload: sorted, without dates and owners, and readable to the guest, which is nobody in particular.
tar --create --file="$work/image.tar" --directory="$(told home)" --files-from="$work/parts" \
  --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,go-w
sum=$(sha256sum "$work/image.tar" | cut -d' ' -f1)

cd "$here"
packer "${PACKER_VERB:-build}" -var-file="$variables" \
  -var "image=$(told image)" -var "version=$(told version)" \
  -var "digest=$(told digest)" -var "signature=$(told signature)" -var "stands_on=$base" \
  -var "payload=$work/image.tar" -var "payload_sha256=$sum" .
