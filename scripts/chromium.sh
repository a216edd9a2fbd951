#!/bin/sh
# Makes sure that the browser tests find Chromium: as root it comes from apt, else they are skipped.
set -u

for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "  No Chromium, and only root with apt may install it: browser tests will be skipped."
    exit 0
fi

printf '  Installing chromium ... '
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if { apt-get update && apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1; then
    echo 'done'
    exit 0
fi
echo 'failed'
tail -n 5 "$log" >&2
# In CI no test may be skipped, so a missing browser fails there.
[ "${CI:-}" != true ]
