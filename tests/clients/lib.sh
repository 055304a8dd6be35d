# Shared by the scripts of this folder: guest files, initramfs images, a run with its output kept, and what is said of it.
# Files that several rows need are made once, under a lock.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../verdict.sh"
guest=$BUILD/guest

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
	mkdir -p "$guest"
	flock "$guest/lock" tools/guest-packages "$guest" "$@" || fail "the guest's packages could not be fetched"
	kernel=$guest/vmlinux
}

# image NAME MODULES JOB [FILE=PATH...]: an initramfs that runs guests/linux/JOB.
image() {
	initrd=$(tools/guest-image "$BUILD" "$@") || fail "the initramfs $1 could not be made"
}

# Seconds of the reference computer; $SLOWNESS, in percent, is how this one compares (tests/run.py).
limit=$((${LIMIT:-300} * ${SLOWNESS:-100} / 100))

# machine OPTION...: runs it; the output is in $work/out, and must end with a power-off.
machine() {
	local status
	"$TURNSTILE" run --timeout "$limit" "$@" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status = 0 ] || fail "exit status $status: turnstile run $*"
	held
}

# says TEXT...: each was printed.
says() {
	local t
	for t in "$@"; do
		grep -qF -- "$t" "$work/out" || fail "missing: $t"
		held
	done
}

clean_log() {
	held
	tests/clients/log-check "$1" "$work/out" && return
	echo "FAIL: the kernel's log is not clean"
	exit 1
}

state() {
	sed -n 's/^repeatable: yes, state //p' "$work/out"
}
