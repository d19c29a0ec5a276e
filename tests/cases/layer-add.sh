# SPDX-License-Identifier: Apache-2.0
# layer add stacks a layer on an image; the image below stays, and a layer serves in many stacks.
# asan
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
oci_layout("base", [layer(dir_("d"), file_("d/a", "a"), file_("d/b", os.urandom(500000)))])
write("top.tar", layer(whiteout("d/a"), file_("d/c", "c")))
oci_layout("other", [layer(file_("z", "z"))])
oci_layout("whole", [layer(dir_("d"), file_("d/a", "a")), layer(whiteout("d/a"), file_("d/c", "c"))])
PY
mkdir -p root/d
echo from-rootfs >root/d/r
expect_ok plyfs import oci:base:t base
expect_ok plyfs import oci:other:t other
index=$(get 'd["index_digest"]' inspect base)
chunks=$(get 'd["chunks"]' df)
digest=$(expect_ok plyfs layer add base tar:top.tar base2)
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "layer add printed '$digest'"
expect_ok plyfs layer add other tar:top.tar other2
expect_ok plyfs layer add base2 rootfs:root base3
[ "$(get 'd["index_digest"]' inspect base)" = "$index" ] || fail "the image below has changed"
[ "$(plyfs ls base2 /d | sort | tr '\n' ' ')" = 'b c ' ] || fail "base2: $(plyfs ls base2 /d)"
[ "$(plyfs ls base3 /d | sort | tr '\n' ' ')" = 'b c r ' ] || fail "base3: $(plyfs ls base3 /d)"
[ "$(plyfs ls other2 / | sort | tr '\n' ' ')" = 'd z ' ] || fail "other2: $(plyfs ls other2 /)"
[ "$(plyfs ls base /d | sort | tr '\n' ' ')" = 'a b ' ] || fail "base: $(plyfs ls base /d)"
[ "$(get 'd["chunks"]' df)" -le $((chunks + 2)) ] || fail "layer add stored lower data again"
mounted base3 m
[ "$(cat m/d/r)" = from-rootfs ] || fail "wrong content in the mount"
fsck_index base3
[ "$(plyfs history base3 | grep -c .)" -ge 3 ] || fail "history: $(plyfs history base3)"
expect_fail 'no such|not found|unknown|no image' plyfs layer add missing tar:top.tar x
