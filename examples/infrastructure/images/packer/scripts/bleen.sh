#!/bin/sh
# What this machine runs of Bleen, guest or gateway, if it is what was named, and its services. They are not started here: nobody
# has told this machine anything.
set -eu
echo "$BLEEN_SHA256  /tmp/$BLEEN_PART.tar" | sha256sum --check --strict
apt-get update -q
apt-get install -qy --no-install-recommends python3 python3-venv
apt-get clean
rm -rf /var/lib/apt/lists/*

mkdir -p /opt/bleen "/tmp/$BLEEN_PART"
tar --extract --file="/tmp/$BLEEN_PART.tar" --directory="/tmp/$BLEEN_PART" --no-same-owner
python3 -m venv "/opt/bleen/$BLEEN_PART"
"/opt/bleen/$BLEEN_PART/bin/pip" install --quiet --no-index --find-links="/tmp/$BLEEN_PART/wheels" "bleen[$BLEEN_PART]"
rm -r "/tmp/$BLEEN_PART" "/tmp/$BLEEN_PART.tar"

useradd --system --home-dir /var/lib/bleen --no-create-home --shell /usr/sbin/nologin "bleen-$BLEEN_PART"
for service in /tmp/bleen-*.service; do
  name=$(basename "$service")
  install --mode=644 "$service" "/etc/systemd/system/$name"
  rm "$service"
  systemctl enable "${name%.service}"
done
