# SPDX-License-Identifier: Apache-2.0
# Names are OCI references: `a` is `a:latest`; what is no reference is refused.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(file_("a", "1")))
PY
for good in a a:1 a/b a/b/c:v1.2-3_4 localhost:5000/a registry.example.org/a/b:c a__b a-b.c; do
	expect_ok plyfs import tar:x.tar "$good" >/dev/null
	expect_ok plyfs inspect "$good" >/dev/null
done
expect_ok plyfs inspect a:latest >/dev/null
n=$(get 'len(rows(d))' images)
for bad in '' ' ' A a: :a a//b /a a/ ../a a/../b 'a b' $'a\nb' a:b:c a@sha256:12 -a \
	"a:$(printf %0130d 0)" "$(printf 'a%.0s' $(seq 300))"; do
	rc=0
	plyfs import tar:x.tar -- "$bad" >/dev/null 2>err || rc=$?
	[ $rc = 1 ] || [ $rc = 2 ] || fail "exit $rc for the name '$bad': $(cat err)"
	[ -s err ] || fail "no reason for the name '$bad'"
done
[ "$(get 'len(rows(d))' images)" = "$n" ] || fail "a bad name is in the list: $(plyfs images)"
