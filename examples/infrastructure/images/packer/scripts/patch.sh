#!/bin/sh
# Every patch of the day, then nothing of what fetched them.
set -eu
apt-get update -q
apt-get dist-upgrade -qy
apt-get autoremove -qy --purge
apt-get clean
rm -rf /var/lib/apt/lists/*
