# Shared by the scripts of this folder: a run with its output and its messages kept apart, and what is said of them.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../verdict.sh"

fail() {
	echo "---- output ----"; head -c 8000 "$work/out"
	echo "---- messages ----"; head -c 8000 "$work/err"
	echo "FAIL: $*"
	exit 1
}

# run STATUS OPTION...: output in $work/out, messages in $work/err.
run() {
	local want=$1 status; shift
	"$TURNSTILE" run --timeout "${LIMIT:-$((60 * ${SLOWNESS:-100} / 100))}" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ "$status" = "$want" ] || fail "exit status $status, want $want: turnstile run $*"
	held
}

# has FILE REGEX...: each matches a line of $work/FILE.
has() {
	local f=$work/$1 r; shift
	for r in "$@"; do
		grep -qE -- "$r" "$f" || fail "no line matches: $r"
		held
	done
}

# narrow FILE: no line is wider than 100 columns, but for what is one line wherever it goes.
narrow() {
	! grep -vE '^turnstile: warning: ' "$work/$1" | grep -nE '^.{101}' || fail "lines wider than 100 columns"
}
