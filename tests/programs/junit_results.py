# SPDX-License-Identifier: Apache-2.0
# The results in a JUnit XML file that `python3 -m test --junit-xml` wrote: one line `RESULT TEST` each, sorted.
import sys
import xml.etree.ElementTree

lines = set()
for case in xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase"):
    kinds = {child.tag for child in case}
    result = "ok"
    if kinds & {"failure", "error"}:
        result = "bad"
    elif "skipped" in kinds or case.get("result") == "skipped":
        result = "skipped"
    lines.add(f"{result} {case.get('name')}")
print("\n".join(sorted(lines)))
