# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# kill -9 of a mount's server and supervisor at once: after the next mount, what was synced is there,
# and every change of names and attributes.
. "$TESTS/lib.sh"
[ -c /dev/fuse ] || skip "no /dev/fuse"
ORACLE=$(dirname "$PLYFS")/oracle
[ -x "$ORACLE" ] || skip "no oracle beside the program (meson -Dtests=true)"
"$TESTS/oracle/run" --oracle "$ORACLE" --scratch "$T" --target plyfs-cow --seed 7 --rounds 1 --ops 300 \
	--stages operations,kill_both_synced,kill_both,kill_both_amid,remount
