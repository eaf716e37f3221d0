# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of this folder: runs one sub-command of zio-bench with --smoke (a moment, every path once, no time
# judged) and checks that its JSON parses, that every row has figures, and that every row's bytes were verified.
build=${abs_top_builddir:-$(pwd)}
bench=$build/bench/zio-bench
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

smoke() { # smoke NAME [OPTION...]
	name=$1
	"$bench" "$@" --smoke --json >"$out/json" 2>"$out/err"
	rc=$?
	cat "$out/err"
	if [ "$rc" = 77 ]; then
		exit 77
	fi
	if ! rows=$("$build/tests/bench/jsoncheck" "$name" <"$out/json") || [ "$rc" != 0 ]; then
		echo "zio-bench $* --smoke: exit code $rc"
		exit 1
	fi
	echo "zio-bench $*: $rows"
}
