# SPDX-License-Identifier: Apache-2.0
# tar:FILE and tar:- (a pipe), plain, gzip and zstd, all give the same image.
. "$TESTS/lib.sh"
need zstd
make_layers <<'PY'
data = layer(dir_("d"), file_("d/x", os.urandom(1 << 20)), symlink("s", "d/x"))
for how in ("plain", "gzip", "zstd"):
    write("x." + how, compress(data, how))
PY
want=
for how in plain gzip zstd; do
	for from in file pipe; do
		export PLYFS_STORE=$T/store-$how-$from
		if [ $from = file ]; then
			expect_ok plyfs import tar:x.$how i >/dev/null
		else
			cat x.$how | expect_ok plyfs import tar:- i >/dev/null
		fi
		got=$(get 'd["index_digest"]' inspect i)
		[ "${want:=$got}" = "$got" ] || fail "$how from a $from gives $got, not $want"
	done
done
