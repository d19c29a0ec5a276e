# SPDX-License-Identifier: Apache-2.0
# An oci-archive gives the same image as the OCI layout that it holds.
# timeout: 300
. "$TESTS/lib.sh"
need_demo

(cd "$DEMO" && tar -cf "$T/demo.tar" .)
a=$(expect_ok plyfs import "oci:$DEMO:demo" one)
b=$(expect_ok plyfs --store "$T/other" import "oci-archive:demo.tar:demo" two)
[ "$a" = "$b" ] || fail "$b from the archive, $a from the directory"
one=$(get 'd["index_digest"]' inspect one)
two=$(PLYFS_STORE=$T/other get 'd["index_digest"]' inspect two)
[ "$one" = "$two" ] || fail "index $two from the archive, $one from the directory"
