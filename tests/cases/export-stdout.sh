# SPDX-License-Identifier: Apache-2.0
# An archive of uncompressed layers may go to standard output, and nothing else goes there.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("in", [layer(file_("a", "x")), layer(file_("b", os.urandom(3 << 20)))])
PY
expect_ok plyfs import oci:in:t i >/dev/null
for form in oci-archive docker-archive; do
	expect_ok plyfs export --compress none i $form:file:x/y:1 >/dev/null
	expect_ok plyfs export --compress none i $form:-:x/y:1 >out
	cmp file out
	expect_ok plyfs --json export --compress none i $form:-:x/y:1 >out
	cmp file out
	expect_ok plyfs export --compress none i $form:-:x/y:1 | plyfs --store other import $form:- got
	plyfs --store other cat got b | cmp - <(plyfs cat i b)
	for codec in gzip zstd; do
		expect_fail 'standard output takes no compressed layers' \
			plyfs export --compress $codec i $form:-
	done
done
expect_ok plyfs export i docker-archive:- >out
expect_fail 'standard output takes no compressed layers' plyfs export i oci-archive:-

note 'the reader goes away, the disk is full'
rc=0
{ plyfs export i docker-archive:- 2>err || echo $? >rc; } | head -c 1000 >/dev/null
[ "$(cat rc)" = 1 ] && grep -qx 'plyfs: standard output: .*Broken pipe' err || fail "$(cat rc err)"
rc=0
plyfs export i docker-archive:- >/dev/full 2>err || rc=$?
[ $rc = 1 ] && grep -qx 'plyfs: standard output: .*No space left on device' err || fail "$rc: $(cat err)"

note 'a terminal is no place for it'
need script
script -qec "'$PLYFS' export i docker-archive:-" /dev/null >err </dev/null || :
grep -q 'not for a terminal' err || fail "$(head -c 300 err)"
