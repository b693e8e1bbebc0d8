#!/bin/sh
# Last: whatever would make two machines the same machine goes, and the account that built with it.
set -eu
rm -f /etc/ssh/ssh_host_* /root/.bash_history
truncate --size=0 /etc/machine-id
rm -rf /var/log/*.log /var/log/*.gz /var/lib/bleen /tmp/*
waagent -force -deprovision+user
sync
