# SPDX-License-Identifier: Apache-2.0
# A repair, or an import that heals, that is killed at any instant leaves an image that is
# quarantined, or healed, and never one that reads wrong.
# timeout: 300
. "$TESTS/lib.sh"
make_layers <<'PY'
data = os.urandom(20 << 20)
write("data", data)
oci_layout("one", [layer(file_("f", data))], how="plain")
PY
expect_ok plyfs import oci:one:t one >/dev/null
cp -a store good
break_it() {
	rm -rf store
	cp -a good store
	python3 - <<'PY'
f = open("store/packs/0.pack", "r+b")
for n in range(0, 20 << 20, 200000):
    f.seek(n)
    byte = f.read(1)[0] ^ 1
    f.seek(n)
    f.write(bytes([byte]))
PY
	fsck_says 1 left --data --repair
}
break_it
start=$(date +%s%N)
fsck_says 0 'not left' --repair oci:one:t
took_ms=$((($(date +%s%N) - start) / 1000000 + 5))
for n in $(seq 1 16); do
	[ $((n % 4)) != 1 ] || break_it
	if [ $((n % 2)) = 0 ]; then
		"$PLYFS" fsck --repair oci:one:t >out 2>&1 &
	else
		"$PLYFS" import oci:one:t one >out 2>&1 &
	fi
	pid=$!
	ms=$((took_ms * n / 16))
	sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
	kill -9 $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
	if plyfs cat one /f >got 2>err; then
		cmp got data || fail "it reads wrong after kill $n"
	else
		grep -q 'is quarantined: chunk' err || fail "$(cat err)"
	fi
done
expect_ok plyfs import oci:one:t one >/dev/null
expect_ok plyfs gc >/dev/null
fsck_says 0 'not d["problems"]' --data
expect_ok plyfs cat one /f | cmp - data
