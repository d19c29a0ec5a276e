# SPDX-License-Identifier: Apache-2.0
# Servers of a writable mount, and its supervisor, are killed while programs make, change, rename and
# remove files: no program sees an error, and the tree is the one of a plain directory.
# (FUSE_OPTIONS=--passthrough: with files that are open past the server.)
# timeout: 240
. "$TESTS/lib.sh"
need_fuse
make_layers <<'PY'
write("x.tar", layer(dir_("./"), dir_("old"), file_("big", os.urandom(9000000)),
	*[file_("old/f%d" % i, os.urandom(i * 11)) for i in range(300)]))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m
work() { # DIR
	(
		set -e
		cd "$1"
		mkdir new && mv old older
		for i in $(seq 400); do
			echo "$i" >"new/a$i" && ln "new/a$i" "new/b$i" && mv "new/a$i" "new/c$i"
			chmod 640 "new/c$i"
			[ $((i % 3)) != 0 ] || rm "new/b$i"
			[ $((i % 2)) != 0 ] || rm -f "older/f$i"
			[ $((i % 8)) != 0 ] || printf x | dd of=big bs=1 seek=$((i * 20000)) conv=notrunc 2>/dev/null
			[ $((i % 50)) != 0 ] || { cp -a older "copy$i" && rm -r "copy$((i - 50))" 2>/dev/null || :; }
		done
		mv older newest && rmdir none 2>/dev/null || :
	)
}
killer() { # one in five times the supervisor; never both at once
	local n=0 who p
	while sleep 1.1; do
		n=$((n + 1))
		who=fuse-server
		[ $((n % 5)) != 0 ] || who=fuse-supervisor
		p=$(pgrep -f "^plyfs $who" | tail -1) && kill -9 "$p" 2>/dev/null && echo "$who"
	done
}
options=${FUSE_OPTIONS-}
expect_ok plyfs mount x m --rw --driver cow --container c $options >/dev/null
rm -rf plain && mkdir plain && tar -C plain -xf x.tar
work plain || fail "the plain directory"
killer >killed &
killer=$!
work "$T/m" || fail "an error was seen ($options)"
kill "$killer"
wait "$killer" 2>/dev/null || :
[ -s killed ] || fail "nothing was killed"
note "$(sort killed | uniq -c | xargs)"
diff -r plain m || fail "the trees differ ($options)"
(cd plain && find . ! -type d -printf '%p %m %s %n\n' | sort) >want
(cd m && find . ! -type d -printf '%p %m %s %n\n' | sort) >got
cmp want got || fail "$(diff want got | head)"
sleep 1 # what was killed last is there again
expect_ok plyfs umount m
! pgrep -a plyfs || fail "a process is left"
expect_ok plyfs container rm c
