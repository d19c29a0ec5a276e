# SPDX-License-Identifier: Apache-2.0
# Mounting 50,000 files takes about as long as mounting ten.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("few.tar", layer(*[file_("f%d" % n, "x") for n in range(10)]))
write("many.tar", layer(*[file_("%d/%d" % (n // 500, n), "x%d" % n) for n in range(50000)]))
PY
mkdir m
best() {
	local n start took least=999999
	for n in 1 2 3 4 5 6 7; do
		start=$(date +%s%N)
		expect_ok plyfs mount "$1" m
		took=$((($(date +%s%N) - start) / 1000))
		plyfs umount m
		[ $took -ge $least ] || least=$took
	done
	echo $least
}
for n in few many; do expect_ok plyfs import tar:$n.tar $n >/dev/null; done
few=$(best few) many=$(best many)
note "10 files: $few us, 50,000 files: $many us"
[ $many -lt $((few * 3 + 10000)) ] || fail "mount time grows: $few us and $many us"
