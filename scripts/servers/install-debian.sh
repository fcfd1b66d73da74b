#!/usr/bin/env bash
# Installs Debian packages without starting the services they bring: install-debian.sh <package>...
# Needs root, unless all are there already. Parallel runs wait for each other.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

missing=()
for package in "$@"; do
	status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

exec 9>/run/notemesh-install.lock
flock 9

# 101 = "action forbidden by policy" (invoke-rc.d): nothing is started by the installation.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

apt-get update --quiet --quiet
apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}"
