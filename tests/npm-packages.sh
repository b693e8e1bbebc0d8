#!/bin/sh
# Installs the packages of npm that tests use, where npm is: an OpenID Connect provider. Never fails: a test whose package is
# missing says so when it is skipped. No script of a package is run.
set -u
here=$(dirname "$0")
into="$here/../.venv/oidc"
cmp -s "$here/fixtures/oidc/package-lock.json" "$into/package-lock.json" && [ -d "$into/node_modules" ] && exit 0
if ! command -v npm >/dev/null 2>&1; then
  echo "not installed (needs npm): oidc-provider"
  exit 0
fi
mkdir -p "$into" && cp "$here/fixtures/oidc/package.json" "$here/fixtures/oidc/package-lock.json" "$into" &&
  npm ci --prefix "$into" --ignore-scripts --no-audit --no-fund --silent || { rm -rf "$into"; echo "npm could not install: oidc-provider"; }
exit 0
