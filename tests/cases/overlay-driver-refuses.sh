# SPDX-License-Identifier: Apache-2.0
# What overlayfs would show wrongly it is not asked to show: character devices 0:0 of an image,
# files that are half copied.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("dev.tar", layer(dir_("dev"), file_("f", "x"), char("dev/zero-zero", 0, 0)))
write("x.tar", layer(file_("f", "x")))
PY
expect_ok plyfs import tar:dev.tar dev >/dev/null
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m
expect_fail 'character device 0:0.*cow' plyfs mount dev m --rw --driver overlay
[ "$(get 'len(d)' containers)" = 0 ] || fail "a container stays behind"
expect_ok plyfs mount x m --rw --driver overlay --container c >/dev/null
expect_ok plyfs umount m
mkdir -p "$PLYFS_STORE/containers/c/work/blocks"
echo >"$PLYFS_STORE/containers/c/work/blocks/1"
expect_fail 'half-copied.*cow' plyfs mount x m --rw --driver overlay --container c
