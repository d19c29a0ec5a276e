# SPDX-License-Identifier: Apache-2.0
# Commands on a disk with so many bytes left, from none to enough; rmi and gc work on a full one
# (tests/fault/full-disk; a sample of the sizes).
# timeout: 600
. "$TESTS/lib.sh"
[ -f "$BUILD/fault-look" ] || { echo "SKIP: built without -Dtests=true"; exit 77; }
need mkfs.ext4
"$TESTS/fault/full-disk" "$BUILD"
