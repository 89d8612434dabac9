#!/bin/sh
# Say clearly when Node.js is missing or too old for the front-end build.
set -eu
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "Node.js 20.19 or newer and npm are needed to build the front end; neither is in PATH" >&2
    exit 1
fi
node -e '
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node.js ${process.versions.node} is too old: 20.19 or newer is needed`);
  process.exit(1);
}'
