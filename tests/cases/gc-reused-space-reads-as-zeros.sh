# SPDX-License-Identifier: Apache-2.0
# Space that gc or a killed import has left holds no old bytes where new data are zeros.
# core
. "$TESTS/lib.sh"
make_layers <<'PY'
import random
r = random.Random(3)
write("noise.tar", layer(*[file_("n%d" % n, r.randbytes(300000)) for n in range(60)]))
write("more.tar", layer(*[file_("m%d" % n, r.randbytes(300000)) for n in range(200)]))
laced = b"".join(r.randbytes(4096) + bytes(4096 * r.randrange(1, 9)) for n in range(1000))
write("laced", laced + b"end")
write("laced.tar", layer(file_("f", laced + b"end"), file_("tail", b"x" + bytes(70000))))
PY
for round in 1 2 3; do
	expect_ok plyfs import tar:noise.tar noise >/dev/null
	"$PLYFS" import tar:more.tar more >/dev/null 2>&1 &
	pid=$!
	sleep 0.$round
	kill -9 $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
	expect_ok plyfs rmi noise
	! plyfs inspect more >/dev/null 2>&1 || expect_ok plyfs rmi more
	[ $round = 3 ] || expect_ok plyfs gc >/dev/null
	expect_ok plyfs import tar:laced.tar laced >/dev/null
	plyfs cat laced /f | cmp - laced || fail "old bytes in new data"
	[ "$(plyfs cat laced /tail | tr -d '\0')" = x ] || fail "old bytes in a tail"
	expect_ok plyfs rmi laced
done
