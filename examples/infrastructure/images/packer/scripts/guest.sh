#!/bin/sh
# What keeps the machine's instance, if it is what was named, and its service. It is not started here: this machine has no order.
set -eu
echo "$GUEST_SHA256  /tmp/guest.tar" | sha256sum --check --strict
apt-get update -q
apt-get install -qy --no-install-recommends python3 python3-venv
apt-get clean
rm -rf /var/lib/apt/lists/*

mkdir -p /opt/bleen /tmp/guest
tar --extract --file=/tmp/guest.tar --directory=/tmp/guest --no-same-owner
python3 -m venv /opt/bleen/guest
/opt/bleen/guest/bin/pip install --quiet --no-index --find-links=/tmp/guest/wheels 'bleen[guest]'
rm -r /tmp/guest /tmp/guest.tar

useradd --system --home-dir /var/lib/bleen --no-create-home --shell /usr/sbin/nologin bleen-guest
install --mode=644 /tmp/bleen-guest.service /etc/systemd/system/bleen-guest.service
rm /tmp/bleen-guest.service
systemctl enable bleen-guest
