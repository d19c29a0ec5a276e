# SPDX-License-Identifier: Apache-2.0
# gc --dry-run changes no byte of the store, foretells what gc does, and waits for no import.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("a", [layer(*[file_("a%d" % n, os.urandom(70000)) for n in range(30)])])
oci_layout("b", [layer(*[file_("b%d" % n, os.urandom(50000)) for n in range(30)])])
write("c.tar", layer(file_("c", os.urandom(3 << 20))))
PY
expect_ok plyfs import oci:a:t a >/dev/null
expect_ok plyfs import oci:b:t b >/dev/null
expect_ok plyfs rmi a
echo left >store/tmp/left
state() { (cd store && find . ! -name '*-lock' -printf '%p %s %b %m %T@ %C@\n' && find . -type f ! -name '*-lock' -exec sha256sum {} +) | sort; }
state >before
foretold=$(get '[d[k] for k in ("images", "layers", "chunks", "files", "bytes", "pack_bytes")]' gc --dry-run)
state >after
cmp before after || fail "$(diff before after)"

note "beside an import that does not end"
mkfifo pipe
"$PLYFS" import tar:pipe c >/dev/null &
import=$!
exec 9>pipe
head -c 2000000 c.tar >&9
expect_ok timeout 10 "$PLYFS" gc --dry-run | grep -q 'would free 1 images, 1 layers, 30 chunks'
plyfs images >/dev/null
rc=0
timeout 1 "$PLYFS" --debug gc >out 2>err || rc=$?
[ $rc = 124 ] && grep -q 'waiting for running imports' err || fail "gc beside an import: $rc, $(cat err)"
tail -c +2000001 c.tar >&9
exec 9>&-
wait $import || fail "the import ended with $?"

is=$(get '[d[k] for k in ("images", "layers", "chunks", "files", "bytes", "pack_bytes")]' gc)
[ "$is" = "$foretold" ] || fail "foretold $foretold, freed $is"
[ "$(get '[d[k] for k in ("images", "layers", "chunks", "files", "bytes")]' gc --dry-run)" = '[0, 0, 0, 0, 0]' ] ||
	fail "something is left after gc"
fsck_store
