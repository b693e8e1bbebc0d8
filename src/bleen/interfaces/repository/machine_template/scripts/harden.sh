#!/bin/sh
# The rules of the recipe over all of $ROOT: last, so that nothing brings back what was taken away.
set -eu
cd "$ROOT"
while IFS= read -r pattern; do
  find . ! -type d -path "./$pattern" -delete
done <"$INPUTS/remove.txt"
find . -type f -perm /6000 -exec chmod u-s,g-s {} +
if [ -e "$INPUTS/passwd" ]; then
  cp "$INPUTS/passwd" "$INPUTS/group" etc/
  echo "# nobody logs in" >etc/shells
  rm -f etc/shadow* etc/gshadow* etc/passwd- etc/group- etc/subuid* etc/subgid*
fi
find . -mindepth 1 -depth -type d -empty -delete
for folder in bin sbin lib lib32 lib64 libx32; do
  rm -f "$folder"
  [ ! -d "usr/$folder" ] || ln -s "usr/$folder" "$folder"
done
