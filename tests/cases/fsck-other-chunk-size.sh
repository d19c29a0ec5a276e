# SPDX-License-Identifier: Apache-2.0
# A damaged layer is read again as it was cut, whatever chunk size the import is asked for; fsck
# --repair cuts its sources in every way that the store has.
. "$TESTS/lib.sh"
make_layers <<'PY'
data = os.urandom(500000)
write("data", data)
oci_layout("one", [layer(dir_("d"), file_("d/f", data))])
write("one.tar", layer(file_("f", data)))
PY
pack=store/packs/0.pack
for size in 4096 65536 1048576; do
	for source in oci:one:t tar:one.tar; do
		rm -rf store
		expect_ok plyfs import --chunk-size $size $source one >/dev/null
		path=$([ $source = tar:one.tar ] && echo /f || echo /d/f)
		index=$(get 'd["index_digest"]' inspect one)
		flip $pack 300000
		fsck_says 1 'len(left) == 1 and touches(left) == ["one:latest '$path'"]' --data --repair
		expect_ok plyfs import $source one >/dev/null
		fsck_says 0 'not d["problems"]' --data
		expect_ok plyfs cat one $path | cmp - data
		[ "$(get 'd["index_digest"]' inspect one)" = "$index" ] || fail "another index"

		flip $pack 200000
		[ $size = 65536 ] || expect_ok plyfs import --chunk-size 65536 $source two >/dev/null
		fsck_says 0 'len(healed) == 1 and not left' --data --repair $source
		expect_ok plyfs cat one $path | cmp - data

		# the layer itself is gone: its images tell how it was cut
		rm store/layers/*
		fsck_says 1 'kinds(left) == ["layer"]' --repair
		expect_ok plyfs import $source one >/dev/null
		fsck_says 0 'not d["problems"]' --data
		[ "$(get 'd["index_digest"]' inspect one)" = "$index" ] || fail "another index"
	done
done
