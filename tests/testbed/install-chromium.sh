#!/usr/bin/env bash
# A browser for the tests that look at the report: Debian's chromium, where there is none. As root; idempotent.
set -euo pipefail
say() { printf 'install-chromium: %s\n' "$*" >&2; }

# the names that tests/conftest.py looks for
if found=$(command -v chromium chromium-browser google-chrome google-chrome-stable); then
  say "already here: $(head -n 1 <<<"$found")"
  exit
fi
[ "$(id -u)" = 0 ] || { say "needs root"; exit 1; }
command -v apt-get >/dev/null || { say "needs Debian's apt-get"; exit 1; }
apt=(apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends)
"${apt[@]}" update || say "apt-get update failed; going on with the lists at hand"
# with a font of its own, so that text is as wide on every machine
DEBIAN_FRONTEND=noninteractive "${apt[@]}" install chromium fonts-liberation </dev/null >/dev/null
say "installed: $(command -v chromium)"
