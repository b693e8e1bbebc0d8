#!/bin/sh
# The layers of the image, if they are the ones that were named.
set -eu
echo "$PAYLOAD_SHA256  /tmp/payload.tar" | sha256sum --check --strict
mkdir -p /opt/bleen
tar --extract --file=/tmp/payload.tar --directory=/opt/bleen --no-same-owner
rm /tmp/payload.tar
