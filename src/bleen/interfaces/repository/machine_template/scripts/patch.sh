#!/bin/sh
# Every patch of the day for the machine itself; what the base has is in its lock.
set -eu
apt-get update -q
apt-get dist-upgrade -qy
apt-get autoremove -qy --purge
apt-get clean
