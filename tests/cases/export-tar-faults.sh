# SPDX-License-Identifier: Apache-2.0
# Each failing system call and allocation makes an export to tar: or rootfs: fail with one line, and
# leaves nothing of it.
# timeout: 300
. "$TESTS/lib.sh"
[ -f "$BUILD/fault.so" ] || skip "no fault.so: built without -Dtests=true"
make_layers <<'PY'
write("x.tar", layer(dir_("d", mode=0o500, xattrs={"user.x": "1"}), file_("d/a", os.urandom(300000)),
      hardlink("e", "d/a"), file_("f", "small"), symlink("s", "f"), fifo("p"),
      sparse_pax("hole", 1 << 20, [(0, b"head")])))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
faulty() { LD_PRELOAD=$BUILD/fault.so PLYFS_FAULT=$1 "$PLYFS" export x "$2"; }
count() {
	LD_PRELOAD=$BUILD/fault.so PLYFS_FAULT_COUNT=$T/count "$PLYFS" export x "$1" 2>/dev/null
	sed -n "s/^$2[ =:]*//p" "$T/count"
}
mkdir out
total=0
for kind in write:ENOSPC pwrite:ENOSPC sync:EIO rename:EIO link:EIO alloc:ENOSPC memory:ENOMEM; do
	for to in tar:out/x.tar rootfs:out/dir; do
		rm -rf out/*
		n=$(count $to ${kind%:*})
		step=$((n / 40 + 1))
		for ((k = 1; k <= n; k += step)); do
			rm -rf out/*
			[ $to = rootfs:out/dir ] || echo old >out/x.tar
			rc=0
			faulty ${kind%:*}:$k:${kind#*:} $to 2>err || rc=$?
			case $rc in
			0) [ ${kind%:*} = memory ] || fail "$to: $kind $k: nothing failed" ;; # within libc
			1)
				[ "$(wc -l <err)" = 1 ] || fail "$to: $kind $k: $(cat err)"
				[ ! -e out/dir ] || fail "$to: $kind $k: left: $(find out)"
				# the second sync is the directory's, behind the rename
				[ $to != tar:out/x.tar ] || [ $kind:$k = sync:EIO:2 ] ||
					{ [ "$(ls -A out)" = x.tar ] && grep -qx old out/x.tar; } || fail "$to: $kind $k: left: $(ls -lA out)"
				;;
			*) fail "$to: $kind $k: exit $rc: $(cat err)" ;;
			esac
			total=$((total + 1))
		done
	done
done
note "$total faults"
[ $total -gt 60 ] || fail "only $total faults"
