#!/bin/sh
# Install what the browser tests need and pip and npm don't bring: Chromium, the font that
# the snapshots were made with, and a C compiler for the stand-in NVML library.
set -eu
missing=""
for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" >/dev/null && found=yes
done
[ -n "${found:-}" ] || missing="$missing chromium"
[ -d /usr/share/fonts/truetype/jetbrains-mono ] || missing="$missing fonts-jetbrains-mono"
command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
if [ -z "$missing" ]; then
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
    sudo -n true 2>/dev/null || as_root="none"
fi
if [ "$as_root" = none ] || ! command -v apt-get >/dev/null; then
    echo "missing on this machine:$missing" >&2
    echo "install them and run make again (Debian: sudo apt-get install$missing)" >&2
    exit 1
fi
echo "installing$missing"
log=$(mktemp)
# shellcheck disable=SC2086 - words are meant to split
if ! { $as_root apt-get update -q &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "could not install$missing; install them and run make again" >&2
    exit 1
fi
rm -f "$log"
