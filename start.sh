#!/bin/sh
# Serves an application of this repository for development: ./start.sh [app]
# Needs Node with npm, of any recent version; the Node that everything runs on is installed with the dependencies.
#   ./start.sh              conectades
#   ./start.sh --install    only installs
set -eu

fail() {
  echo "start.sh: $1" >&2
  exit 1
}

# The folder of this script, also when it is called through a link.
script=$0
while [ -h "$script" ]; do
  target=$(readlink "$script")
  case $target in
    /*) script=$target ;;
    *) script=$(dirname "$script")/$target ;;
  esac
done
root=$(CDPATH='' cd -- "$(dirname -- "$script")" && pwd -P)

# A relative VAZAO_DATA is meant from where the caller stands.
case ${VAZAO_DATA:-/} in
  /*) ;;
  *) VAZAO_DATA=$PWD/$VAZAO_DATA && export VAZAO_DATA ;;
esac

case ${1:-} in
  --install) ;;
  -*) fail "there is no option $1. Usage: ./start.sh [app]" ;;
esac
[ $# -le 1 ] || fail "one application at a time. Usage: ./start.sh [app]"
cd "$root"

# npm writes this file last, so it is missing after an interrupted installation.
installed=node_modules/.package-lock.json
if [ ! -f "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  command -v node >/dev/null 2>&1 || fail "there is no Node here. Install it with npm (https://nodejs.org), and start again."
  command -v npm >/dev/null 2>&1 || fail "there is no npm here. Install it (https://nodejs.org brings it along), and start again."
  echo "Installing what package-lock.json names (once; about a minute) …" >&2
  # Not `npm ci`: it wants the binaries of every platform in the lock file. The versions are those of the lock file all
  # the same, and --no-save leaves it as it is.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2 ||
    fail "npm install failed; its message is above. Check the connection to the npm registry, and start again."
  touch "$installed"
fi

node=$root/node_modules/.bin/node
"$node" --version >/dev/null 2>&1 ||
  fail "the Node of the dependencies does not run. Let npm run its install scripts (npm config get ignore-scripts should say false), delete node_modules, and start again."
[ "${1:-}" != --install ] || exit 0

# exec: signals reach the server itself.
exec "$node" packages/vazao/src/cli/main.ts dev "${1:-conectades}"
