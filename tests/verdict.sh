# Shared by the scripts of tests/cli and tests/clients: where they run, and their verdict for tests/run.py, which sets
# $BUILD and $TURNSTILE.
# shellcheck shell=bash
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
: "${BUILD:?is the build folder}" "${TURNSTILE:?is the program}"
export LC_ALL=C
work=$(mktemp -d)
checks=0
# The last of every script: no files left.
leave() {
	local status=$?
	[ $status != 0 ] || echo "checks: $checks"
	rm -rf "$work"
}
trap leave EXIT

# held [N]: so many more checks have held.
held() {
	checks=$((checks + ${1:-1}))
}
