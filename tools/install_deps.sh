#!/usr/bin/env bash
# Installs the Debian packages that packages.txt names and this machine lacks. Without root it
# prints the one line that would, and fails; with nothing missing it succeeds for anybody.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v dpkg-query >/dev/null; then
  echo "make deps: this is no Debian; install what packages.txt names by your own means" >&2
  exit 1
fi

missing=()
while read -r package; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' packages.txt)

[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "These packages are missing; as root, run:" >&2
  echo "apt-get update && apt-get install --yes --no-install-recommends ${missing[*]}"
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install --quiet --yes --no-install-recommends "${missing[@]}" </dev/null; }
# Package lists may be missing (a bare image) or stale (their packages are gone from the mirror).
if compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null && install; then exit 0; fi
apt-get update --quiet </dev/null
install
