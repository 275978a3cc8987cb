#!/usr/bin/env bash
# Brings a release of the platform into the registry, checks that the platform may move to it, and
# publishes it. Everything is decided by bin/acp-prepare; this file only finds it.
#
#   bash upgrade.sh                      synchronise the artifacts, then deploy
#   bash upgrade.sh --only-sync-image    synchronise the artifacts only
#   bash upgrade.sh --preflight          check, and change nothing
#   bash upgrade.sh --skip-sync-image    deploy only
#   bash upgrade.sh --help               every flag

# A password among the flags must not stand in a trace.
{ set +x; } 2>/dev/null
set -eu

# As Go names it; packaging writes what the programs and images of this package are built for.
readonly package_architecture=amd64

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 69
}

package=$(cd -P -- "$(dirname -- "$0")" && pwd)
prepare=$package/bin/acp-prepare

case $(uname -m) in
  x86_64 | amd64) machine=amd64 ;;
  aarch64 | arm64) machine=arm64 ;;
  *) machine=$(uname -m) ;;
esac

if [ "$machine" != "$package_architecture" ]; then
  fail "this package is for linux/$package_architecture, but this machine is $machine" \
    "run it on a linux/$package_architecture machine, or use the package for linux/$machine"
fi
if [ ! -f "$prepare" ]; then
  fail "bin/acp-prepare is missing beside upgrade.sh" \
    "extract the whole package again, and run upgrade.sh in the extracted folder"
fi
if [ ! -x "$prepare" ]; then
  fail "bin/acp-prepare may not be executed" \
    "extract the package with tar -xzf on a file system that is not mounted noexec"
fi

export ACP_PACKAGE=$package
exec "$prepare" "$@"
