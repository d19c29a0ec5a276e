# SPDX-License-Identifier: Apache-2.0
# What a loss of power may leave of a store is whole (tests/fault/power-loss; a sample of the
# states), and the recorder that this relies on misses no call.
# timeout: 600
. "$TESTS/lib.sh"
[ -f "$BUILD/record.so" ] || { echo "SKIP: no record.so: built without -Dtests=true"; exit 77; }
"$TESTS/fault/check-recorder" "$BUILD" || [ $? = 77 ]
"$TESTS/fault/power-loss" "$BUILD"
