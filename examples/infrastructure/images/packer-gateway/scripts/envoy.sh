#!/bin/sh
# Envoy runs on this machine, and is the version that the tag of the image says: otherwise there is no image.
set -eu
envoy=$(/opt/bleen/gateway/bin/python -c 'from bleen.providers.envoy.process import envoy_binary; print(envoy_binary())')
"$envoy" --version
"$envoy" --version | grep --quiet --fixed-strings "/$ENVOY_VERSION/"
