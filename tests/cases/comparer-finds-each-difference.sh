# SPDX-License-Identifier: Apache-2.0
# The tests' own comparer: equal trees are equal, and it finds every kind of difference.
. "$TESTS/lib.sh"
"$TESTS/torture.py" a common
"$TESTS/torture.py" b common
same_tree a b --sparse
n=0
differs() { # WHAT PATTERN COMMAND...: after the command in b, the comparer names the difference
	local want=$1 rc=0
	shift
	n=$((n + 1))
	rm -rf x y
	mkdir x
	(cd x && mkdir d && echo 1 >d/f && ln d/f d/g && echo 2 >h && ln -s t s && mkfifo p &&
		mknod c c 1 3 && truncate -s 1M z && setfattr -n user.a -v 1 h)
	cp -a x y
	same_tree x y --sparse
	(cd y && "$@")
	touch -r x y
	touch -r x/d y/d
	"$TESTS/cmptree.py" --sparse --sparse-grain 4096 x y >out || rc=$?
	[ $rc = 1 ] || fail "exit $rc after: $*"
	grep -q -- "$want" out || fail "no '$want' after '$*' in: $(cat out)"
}
differs 'd/f: only in A' rm d/f
differs 'new: only in B' touch new
differs 'h: mode' chmod 4644 h
differs 'h: uid' chown 5 h
differs 's: gid' chgrp -h 5 s
differs 'h: mtime' touch -d '1970-01-01 00:00:00.000000001' h
differs 's: mtime' touch -h -d @5 s
differs 's: target' ln -sfn u s
differs 'h: size' truncate -s 5 h
differs 'h: content' sh -c 'echo 3 >h'
differs 'h: xattr user.a' setfattr -x user.a h
differs 's: xattr trusted.b' setfattr -h -n trusted.b -v 1 s
differs 'c: device' sh -c 'rm c; mknod c c 1 5'
differs 'p: type' sh -c 'rm p; touch p'
differs 'd/f: linked with' sh -c 'cp -p d/f q; mv q d/g'
differs 'h: nlink' ln h ../extra
differs 'z: data where A has a hole' sh -c 'head -c 1048576 /dev/zero >z'
note "$n differences"
