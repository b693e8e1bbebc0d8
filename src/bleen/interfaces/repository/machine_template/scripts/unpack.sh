#!/bin/sh
# The files of every package of the lock below $ROOT, without those that the recipe excludes. No script of a package is run.
set -eu
merged="bin sbin lib lib32 lib64 libx32"
for folder in $merged; do
  mkdir -p "$ROOT/usr/$folder"
  ln -s "usr/$folder" "$ROOT/$folder"
done
while read -r digest name _; do
  echo "$digest  $PACKAGES/$name.deb" | sha256sum --check --strict --quiet
  dpkg-deb --fsys-tarfile "$PACKAGES/$name.deb" | tar --extract --directory="$ROOT" --keep-directory-symlink --no-same-owner
done <"$INPUTS/packages.txt"
cd "$ROOT"
# Links to the root mean that of the base, wherever it lies.
find . -type l -lname '/*' | while IFS= read -r link; do
  target=$(readlink "$link")
  case $target in
  /bin/* | /sbin/* | /lib/* | /lib32/* | /lib64/* | /libx32/*) target=/usr$target ;;
  esac
  ln -sfn "$(realpath -sm --relative-to="$ROOT/${link%/*}" "$ROOT$target")" "$link"
done
while IFS= read -r pattern; do
  find . ! -type d -path "./$pattern" ! -regex '\./usr/share/doc/[^/]*/copyright' -delete
done <"$INPUTS/exclude.txt"
