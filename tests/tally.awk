# SPDX-License-Identifier: Apache-2.0
# One test's log to its counts: prints `PASSED FAILED SKIPPED`, then a line for each failure and each skip.
# Variables: name, the test; result, automake's verdict (PASS, FAIL, SKIP, ERROR, XFAIL, XPASS).
# Lines `ok`, `FAIL`, `skip` (ours) and `not ok`, `ok ... # SKIP` (TAP, from cmocka) count where there are any; else
# the test itself counts as one. A verdict of failure always counts as at least one failure.
/^(PASS|FAIL|SKIP|ERROR|XFAIL|XPASS) .* \(exit status: [0-9]+\)$/ { next } # automake's own last line
/^(not )?ok .*# SKIP/ { sub(/^(not )?ok /, ""); skips[++skipped] = $0; next } # cmocka says `not ok` of a skip
/^ok / { passed++; next }
/^(FAIL|not ok) / { sub(/^(FAIL|not ok) /, ""); fails[++failed] = $0; next }
/^skip / { sub(/^skip /, ""); skips[++skipped] = $0; next }
NF { last = $0 }
END {
    bad = result !~ /^(PASS|SKIP|XFAIL)$/
    if (bad && !failed)
        fails[++failed] = "verdict " result ": " last
    if (!bad && !passed && !failed && !skipped) {
        if (result == "SKIP")
            skips[++skipped] = last
        else
            passed = 1
    }
    print passed + 0, failed + 0, skipped + 0
    for (i = 1; i <= failed; i++)
        print "FAIL " name ": " fails[i]
    for (i = 1; i <= skipped; i++)
        print "skip " name ": " skips[i]
}
