# SPDX-License-Identifier: Apache-2.0
# No stack of stacks.py is left out by the cases that check them.
. "$TESTS/lib.sh"
patterns=$(sed -n "/^check_stacks/,\$p" "$TESTS"/cases/{layers-*,tar-corners}.sh |
	grep -o "'[^']*'" | tr -d "'")
set -f
"$TESTS/stacks.py" list $patterns | sort >checked
"$TESTS/stacks.py" list | sort | comm -23 - checked >missed
[ ! -s missed ] || fail "no case checks: $(cat missed)"
