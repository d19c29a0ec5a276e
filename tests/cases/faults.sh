# SPDX-License-Identifier: Apache-2.0
# Failing and killed system calls leave the store whole (tests/fault/run; a sample of the calls).
# timeout: 300
. "$TESTS/lib.sh"
[ -f "$BUILD/fault.so" ] || { echo "SKIP: no fault.so: built without -Dtests=true"; exit 77; }
"$TESTS/fault/run" "$PLYFS" "$BUILD/fault.so"
