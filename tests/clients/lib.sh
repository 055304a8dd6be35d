# Shared by the scripts of this folder: guest files, initramfs images, a run with its output kept, and what is said of it.
# $BUILD and $TURNSTILE come from tests/run.py. Files that several rows need are made once, under a lock.
# shellcheck shell=bash
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
: "${BUILD:?is the build folder}" "${TURNSTILE:?is the program}"
export LC_ALL=C
guest=$BUILD/guest
images=$guest/images
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	if [ -s "$work/out" ]; then
		echo "---- the machine said ----"
		grep -v '^log: ' "$work/out" | tail -c 20000
	fi
	echo "FAIL: $*"
	exit 1
}

# guest_files [PACKAGE...]: the kernel, busybox and further packages, unpacked below $guest.
guest_files() {
	mkdir -p "$images"
	flock "$guest/lock" tools/guest-packages "$guest" "$@" || fail "the guest's packages could not be fetched"
	kernel=$guest/vmlinux
}

# image NAME "MODULES" JOB [FILE=PATH...]: an initramfs that runs guests/linux/JOB; remade when a source is newer.
# shellcheck disable=SC2030,SC2031
image() {
	local name=$1 modules=$2 job=$3 out=$images/$1.gz f stale=; shift 3
	(
		flock 9
		for f in guests/linux/init "guests/linux/$job" "${@%%=*}" tools/mkinitramfs tools/copy-modules "$guest/vmlinux"; do
			[ "$f" -nt "$out" ] && stale=1
		done
		[ -z "$stale" ] && [ -e "$out" ] && exit 0
		MODULES=$modules tools/mkinitramfs "$guest" "$out.tmp" guests/linux/init "guests/linux/$job=job" "$@" || exit 1
		mv "$out.tmp" "$out"
	) 9>"$images/lock" || fail "the initramfs $name could not be made"
	initrd=$out
}

# machine OPTION...: runs it; the output is in $work/out, and must end with a power-off.
machine() {
	local status
	"$TURNSTILE" run --timeout "${LIMIT:-300}" "$@" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status = 0 ] || fail "exit status $status: turnstile run $*"
}

# says TEXT...: each was printed.
says() {
	local t
	for t in "$@"; do
		grep -qF -- "$t" "$work/out" || fail "missing: $t"
	done
}

clean_log() {
	tests/clients/log-check "$1" "$work/out" && return
	echo "FAIL: the kernel's log is not clean"
	exit 1
}

state() {
	sed -n 's/^repeatable: yes, state //p' "$work/out"
}
