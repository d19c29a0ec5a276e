# SPDX-License-Identifier: Apache-2.0
# Failing, cut and killed calls leave the store whole (tests/fault/run; a sample of the calls).
# timeout: 600
. "$TESTS/lib.sh"
[ -f "$BUILD/fault.so" ] || { echo "SKIP: no fault.so: built without -Dtests=true"; exit 77; }
"$TESTS/fault/run" "$BUILD"
