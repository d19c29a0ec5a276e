# SPDX-License-Identifier: Apache-2.0
# manifest: makes an image of a text with one line an entry, of every type and keyword.
# asan
. "$TESTS/lib.sh"
need_kernel_mount
mkdir files
echo content >files/x
cat >manifest <<'END'
# comment, and an empty line

/ type=dir mode=0750 time=3
/set uid=5 gid=6 mode=640 time=1000000000.000000001
/etc type=dir mode=755
/etc/hello type=file content=files/x
/etc/inline type=file inline=two\swords\012 mode=4755 uid=0
/etc/empty type=file xattr.user.a=1\0002
/link type=link link=etc/hello
/hard type=hardlink link=/etc/hello
/unset mode uid gid time
/null device=c:1:3 mode=666
/disk type=block device=b:8:0 mode=600
/pipe type=fifo
/socket type=socket
/implicit/parent/file type=file
/with\040blank type=file
END
expect_ok plyfs import manifest:manifest x >/dev/null
mounted x m
find m -printf '/%P %y %m %U:%G %n %s %T@ %l\n' | sed -E '/ d /s/ [0-9]+ [0-9]+ ([-0-9.]+ $)/ - - \1/' |
	LC_ALL=C sort >got
cat >want <<'END'
/ d 750 0:0 - - 3.0000000000 
/disk b 600 0:0 1 0 0.0000000000 
/etc d 755 5:6 - - 1000000000.0000000010 
/etc/empty f 640 5:6 1 0 1000000000.0000000010 
/etc/hello f 640 5:6 2 8 1000000000.0000000010 
/etc/inline f 4755 0:6 1 10 1000000000.0000000010 
/hard f 640 5:6 2 8 1000000000.0000000010 
/implicit d 755 0:0 - - 0.0000000000 
/implicit/parent d 755 0:0 - - 0.0000000000 
/implicit/parent/file f 644 0:0 1 0 0.0000000000 
/link l 640 5:6 1 9 1000000000.0000000010 etc/hello
/null c 666 0:0 1 0 0.0000000000 
/pipe p 644 0:0 1 0 0.0000000000 
/socket s 644 0:0 1 0 0.0000000000 
/with blank f 644 0:0 1 0 0.0000000000 
END
diff want got || fail "another tree than the manifest says"
[ "$(cat m/etc/inline)" = "two words" ] && [ "$(cat m/hard)" = content ] || fail "wrong content"
python3 -c 'import os; assert os.getxattr("m/etc/empty", "user.a") == b"1\0" + b"2"'
expect_ok plyfs import manifest:manifest y >/dev/null
[ "$(get 'd["index_digest"]' inspect x)" = "$(get 'd["index_digest"]' inspect y)" ] || fail "not the same"
fsck_index x
