# SPDX-License-Identifier: Apache-2.0
# core
# timeout: 300
# Random operations on a container mounted by overlayfs, compared with a plain directory.
. "$TESTS/lib.sh"
need_kernel_mount
ORACLE=$(dirname "$PLYFS")/oracle
[ -x "$ORACLE" ] || skip "no oracle beside the program (meson -Dtests=true)"
"$TESTS/oracle/run" --oracle "$ORACLE" --scratch "$T" --target plyfs-overlay-driver --seed 1 --rounds 2 --ops 2000
