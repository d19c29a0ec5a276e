# SPDX-License-Identifier: Apache-2.0
# A file whose last blocks are zeros, as the last data of the store, can be read to its end.
# core
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
for n, data in enumerate((b"a" * 512 + bytes(12288), b"a" + bytes(131071 + 4097), bytes(5000),
                          bytes(1 << 20) + b"z" + bytes(300000))):
    write("data%d" % n, data)
    write("%d.tar" % n, layer(file_("f", data)))
PY
for n in 0 1 2 3; do
	export PLYFS_STORE=$T/store$n
	expect_ok plyfs import tar:$n.tar x >/dev/null
	expect_ok plyfs cat x /f | cmp - data$n || fail "cat differs"
	mounted x m$n
	cmp m$n/f data$n || fail "the mount differs"
done
