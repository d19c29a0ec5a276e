# SPDX-License-Identifier: Apache-2.0
# The store lets nobody else in: setuid files of images are no use to the host's users.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(file_("suid", "#!", mode=0o4755)))
PY
umask 000
expect_ok plyfs import tar:x.tar x >/dev/null
mode=$(stat -c %a "$PLYFS_STORE")
[ "$mode" = 700 ] || fail "the store has mode $mode"
left=$(find "$PLYFS_STORE" -perm /6000)
[ -z "$left" ] || fail "setuid files in the store: $left"
