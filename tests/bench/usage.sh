#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Bad command lines are refused with a message and exit code 64; a plot is drawn, or its absence explained.
. "${0%/*}/smoke.sh"

refused() { # refused WORD OPTION...: the message holds WORD
	word=$1
	shift
	"$bench" "$@" >"$out/out" 2>"$out/err"
	rc=$?
	if [ $rc != 64 ] || ! grep -q -e "$word" "$out/err" || [ -s "$out/out" ]; then
		echo "zio-bench $*: exit code $rc, expected 64 and '$word' in:"
		cat "$out/err"
		exit 1
	fi
}

refused 'which one' --json
refused 'no.*nonsense' nonsense
refused 'sizes' copy --sizes 4k,big
refused 'rounds' copy --rounds 0
refused 'dest' copy --dest hot,cold
refused 'apps' app --apps redis,nonsense
refused 'out' report

if "$bench" copy --smoke --lib /nonexistent/libzio.so >/dev/null 2>"$out/err" || ! grep -q /nonexistent "$out/err"; then
	echo "a missing library is not reported"
	exit 1
fi

if (PATH=/nonexistent "$bench" alloc --smoke --plot "$out/p.svg") >/dev/null 2>"$out/err" || ! grep -q gnuplot "$out/err"; then
	echo "a missing gnuplot is not reported"
	exit 1
fi
if command -v gnuplot >/dev/null; then
	for name in alloc echo micro; do
		"$bench" $name --smoke --plot "$out/$name.svg" >/dev/null || exit 1
		grep -q '</svg>' "$out/$name.svg" || exit 1
	done
	"$bench" fs --smoke --ways native,lib --plot "$out/fs.svg" >/dev/null || exit 1
	grep -q '</svg>' "$out/fs.svg" || exit 1
else
	echo "not drawn: gnuplot is not installed"
fi
