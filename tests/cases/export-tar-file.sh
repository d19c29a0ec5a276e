# SPDX-License-Identifier: Apache-2.0
# export to tar: puts a whole file in FILE's place or leaves what was there; devices, FIFOs and
# standard output are written to directly.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(file_("big", os.urandom(5 << 20)), file_("small", "s"), dir_("d")))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir out
expect_ok plyfs export x tar:out/x.tar
expect_ok plyfs export x tar:- >stream
cmp stream out/x.tar
[ "$(stat -c %a out/x.tar)" = 644 ] || fail "its mode does not follow the umask"
echo old >out/x.tar
expect_ok plyfs export x tar:out/x.tar
cmp stream out/x.tar
[ "$(ls -A out)" = x.tar ] || fail "left beside it: $(ls -A out)"
name=$(printf '%0255d' 1)
expect_ok plyfs export x tar:$name
cmp stream $name

for codec in gzip zstd none; do
	expect_ok plyfs export x tar:out/x.$codec --compress $codec
	expect_ok plyfs import tar:out/x.$codec again >/dev/null
	expect_ok plyfs export again tar:- | cmp - stream
done
zcat out/x.gzip | cmp - stream
cmp out/x.none stream
rm out/x.gzip out/x.zstd out/x.none

expect_ok plyfs export x tar:/dev/null
[ -c /dev/null ] || fail "/dev/null was replaced"
expect_ok plyfs export x tar:/dev/stdout | cmp - stream
mkfifo fifo
cat fifo >from-fifo &
expect_ok plyfs export x tar:fifo
wait $!
cmp from-fifo stream
echo old >target
ln -s ../target out/link
expect_ok plyfs export x tar:out/link
[ -L out/link ] && cmp target stream || fail "a symbolic link was replaced"

expect_ok plyfs export x tar:/dev/stdout >redirected
cmp redirected stream
expect_fail 'terminal' python3 -c '
import os, pty, subprocess, sys
master, slave = pty.openpty()
sys.exit(subprocess.run(sys.argv[1:], stdout=slave).returncode)' "$PLYFS" export x tar:-
expect_fail 'space' plyfs export x tar:/dev/full
expect_fail 'no such' plyfs export x tar:out/none/x.tar
expect_fail 'directory' plyfs export x tar:out
expect_fail 'directory' plyfs export x tar:out/
expect_fail 'names no file' plyfs export x tar:
expect_fail 'no destination' plyfs export x out/x.tar
expect_fail 'no image' plyfs export y tar:out/x.tar
rc=0
plyfs export x tar:- 2>err | head -c 10 >/dev/null || rc=$?
grep -aE 'Sanitizer|ssert' err && fail "crash when the reader goes away"

# killed at any time: the old file stays, and hardly ever a temporary name beside it
rm out/link
for ms in 1 3 5 8 12 16 20 30; do
	timeout -s KILL 0.0$(printf %02d $ms) "$PLYFS" export x tar:out/x.tar || :
	cmp out/x.tar stream
	rm -f out/.plyfs-*
	[ "$(ls -A out)" = x.tar ] || fail "left when killed: $(ls out)"
done
