# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# kill -9 of a mount's server, again and again: what is at work in it sees a pause, and no error.
. "$TESTS/lib.sh"
[ -c /dev/fuse ] || skip "no /dev/fuse"
for kind in plyfs-cow plyfs-cow-passthrough; do
	mkdir -p $kind/lower
	expect_ok "$TESTS/target" $kind "$T/$kind" up
	"$TESTS/kill-work.py" $kind/mnt >log 2>&1 &
	worker=$!
	for _ in $(seq 8); do
		sleep 1.5
		pids=$("$TESTS/target" $kind "$T/$kind" pids)
		kill -9 "$(sed -n 1p <<<"$pids")" || fail "no server: $pids"
	done
	sleep 1
	touch $kind/mnt/.stop
	wait $worker || fail "$kind: $(cat log)"
	cat log
	expect_ok "$TESTS/target" $kind "$T/$kind" down
done
