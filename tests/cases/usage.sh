# SPDX-License-Identifier: Apache-2.0
# Wrong usage is exit 2 and a hint; --help of every command is exit 0 and shows the command.
. "$TESTS/lib.sh"
expect_usage plyfs
expect_usage plyfs nosuch
expect_usage plyfs --nosuch
expect_usage plyfs import
expect_usage plyfs import tar:x
expect_usage plyfs import tar:x y z
expect_usage plyfs import --nosuch tar:x y
expect_usage plyfs mount x
expect_usage plyfs mount x y --driver nosuch
expect_usage plyfs umount
expect_usage plyfs layer
expect_usage plyfs layer nosuch
expect_usage plyfs layer add x
expect_usage plyfs rmi
expect_usage plyfs cat x
expect_usage plyfs images x y
expect_usage plyfs --store
expect_ok plyfs --version | grep -qE '[0-9]+\.[0-9]+' || fail "--version: $(plyfs --version)"
expect_ok plyfs --help >help
for c in import "layer add" mount umount mounts containers "container rm" diff commit restart overlay images inspect history tag rmi ls cat stat cp df gc; do
	grep -qw -- "${c%% *}" help || fail "--help does not name $c"
	expect_ok plyfs $c --help >out
	grep -q -- "plyfs $c" out || fail "$c --help does not show its usage: $(head -3 out)"
done
[ ! -e "$PLYFS_STORE" ] || fail "help and wrong usage made a store"
