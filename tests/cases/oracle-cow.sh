# SPDX-License-Identifier: Apache-2.0
# core
# timeout: 400
# Random operations on containers of driver cow, compared with a plain directory; commits, and kills
# of its processes in the midst.
. "$TESTS/lib.sh"
[ -c /dev/fuse ] || skip "no /dev/fuse"
ORACLE=$(dirname "$PLYFS")/oracle
[ -x "$ORACLE" ] || skip "no oracle beside the program (meson -Dtests=true)"
for target in plyfs-cow plyfs-cow-passthrough; do
	"$TESTS/oracle/run" --oracle "$ORACLE" --scratch "$T" --target $target --seed 1 --rounds 1 --ops 2000
done
