# SPDX-License-Identifier: Apache-2.0
# Helpers for the cases; each case starts with `. "$TESTS/lib.sh"`.
#
# A case runs in an empty scratch directory $T (its working directory) with a store of its own,
# $PLYFS_STORE, and may mount what it likes: all is gone when it ends.  `plyfs` is the program
# under test.  A case ends at the first thing that is not as expected.
set -eEu
trap 'echo "FAILED: exit $? at ${BASH_SOURCE[0]##*/}:$LINENO: ${BASH_COMMAND:0:300}" >&2' ERR
umask 022
export PLYFS_STORE=$T/store
ERR='' # what the last expect_refused or expect_usage saw on stderr

plyfs() { "$PLYFS" "$@"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'SKIP: %s\n' "$*"; exit 77; }
note() { printf -- '-- %s\n' "$*"; }

# need PROGRAM...: skip unless all are installed
need() {
	local p
	for p; do command -v "$p" >/dev/null || skip "$p is not installed"; done
}

# need_kernel_mount: skip where the kernel cannot mount an index from files
need_kernel_mount() { [ -z "${KERNEL_GAP-}" ] || skip "$KERNEL_GAP"; }

# need_fuse: skip where there is no FUSE
need_fuse() { [ -c /dev/fuse ] || skip "no /dev/fuse"; }

# need_demo: skip without the demo image; sets DEMO to its OCI layout
need_demo() {
	DEMO=${PLYFS_IMAGES:-/nonexistent}/oci
	[ -e "$DEMO/index.json" ] ||
		skip "no demo image in PLYFS_IMAGES (tests/images/build.sh makes it)"
}

# expect_ok COMMAND...: it must exit 0; its output goes through
expect_ok() {
	local rc=0
	"$@" 2>"$T/.stderr" || rc=$?
	no_crash "$*"
	[ $rc = 0 ] || fail "exit $rc from: $*: $(head -c 2000 "$T/.stderr")"
}

no_crash() {
	! grep -aE 'Sanitizer|runtime error:|[Aa]ssert|core dumped|stack smashing' "$T/.stderr" ||
		fail "crash in: $1: $(head -c 4000 "$T/.stderr")"
}

# expect_fail REGEX COMMAND...: exit 1 and exactly one line on stderr, `plyfs: ... REGEX ...`
expect_fail() {
	local want=$1 rc=0
	shift
	"$@" >"$T/.stdout" 2>"$T/.stderr" || rc=$?
	no_crash "$*"
	ERR=$(tr -d '\0' <"$T/.stderr")
	[ $rc = 1 ] || fail "exit $rc instead of 1 from: $*: $ERR"
	[ "$(wc -l <"$T/.stderr")" = 1 ] || fail "not exactly one line on stderr from: $*: $ERR"
	[[ $ERR == 'plyfs: '* ]] || fail "the line does not start with 'plyfs: ': $*: $ERR"
	printf '%s' "$ERR" | grep -qaiE -- "$want" || fail "no '$want' in the reason of: $*: $ERR"
}

# expect_refused REGEX COMMAND...: expect_fail, and the store holds nothing after it
expect_refused() {
	expect_fail "$@"
	shift
	store_is_empty "$*"
}

# expect_usage COMMAND...: exit 2, and a hint on stderr
expect_usage() {
	local rc=0
	"$@" >"$T/.stdout" 2>"$T/.stderr" || rc=$?
	no_crash "$*"
	ERR=$(cat "$T/.stderr")
	[ $rc = 2 ] || fail "exit $rc instead of 2 from: $*: $ERR"
	[ -n "$ERR" ] || fail "no hint on stderr from: $*"
	printf '%s' "$ERR" | grep -qE -- '--help|usage|Usage' || fail "no hint in: $ERR"
}

# store_is_empty [AFTER]: no image, no layer, no temporary file, no chunk
store_is_empty() {
	local left
	left=$(get 'len(rows(d))' images)
	[ "$left" = 0 ] || fail "$left images in the store after: ${1-}"
	left=$(find "$PLYFS_STORE"/layers "$PLYFS_STORE"/images "$PLYFS_STORE"/tmp -type f \
		2>/dev/null || :)
	[ -z "$left" ] || fail "left in the store after: ${1-}: $left"
	left=$(get 'd["chunks"]' df)
	[ "$left" = 0 ] || fail "$left chunks in the store after: ${1-}"
}

# get EXPRESSION SUBCOMMAND [ARG...]: a Python expression over `d`, the command's --json output;
# rows(d) is the list in it, whether it stands alone or under a key
get() {
	local expression=$1
	shift
	"$PLYFS" "$@" --json >"$T/.json" || fail "exit $? from: plyfs $* --json"
	python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
def rows(d):
    return d if isinstance(d, list) else next(v for v in d.values() if isinstance(v, list))
print(eval(sys.argv[2]))' "$T/.json" "$expression" ||
		fail "plyfs $* --json: no $expression in: $(head -c 1000 "$T/.json")"
}

# mounted NAME DIR: mount an image read-only at DIR, made where it is missing
mounted() {
	mkdir -p "$2"
	expect_ok plyfs mount "$1" "$2"
}

# same_tree A B [cmptree options]
same_tree() {
	local a=$1 b=$2
	shift 2
	"$TESTS/cmptree.py" "$@" "$a" "$b" || fail "$a and $b differ"
}

# same_as_unpacked UMOCI_ROOTFS MOUNT [options]: what umoci 0.4.7 itself loses is left out: holes,
# xattrs with an empty value, the time of a root without an entry.  It keeps nanoseconds (wrongly
# only before 1970), link structure, devices, and every other xattr.
same_as_unpacked() { same_tree "$@"; }

# writable_targets: the kinds of writable mounts (tests/target) that can be had here
writable_targets() {
	[ -n "${KERNEL_GAP-}" ] || echo plyfs-overlay-driver
	[ ! -c /dev/fuse ] || echo plyfs-cow plyfs-cow-passthrough
}

# posix FAMILY: what tests/posix says of these calls is so on each kind of writable mount
posix() {
	local kind
	for kind in $(writable_targets); do
		mkdir -p "$T/$kind/lower"
		expect_ok "$TESTS/target" "$kind" "$T/$kind" up
		"$TESTS/posix/run" "$kind/mnt" "$1" || fail "$1 on $kind"
		expect_ok "$TESTS/target" "$kind" "$T/$kind" down
	done
	[ -n "${kind-}" ] || skip "no writable mounts here"
}

# index_file KEY NAME: the path of the image's index (index_path or local_index_path), which must
# lie in the store
index_file() {
	local path
	path=$(get "d['$1']" inspect "$2")
	[[ $(realpath "$path") == "$(realpath "$PLYFS_STORE")"/* ]] || fail "$1 is outside the store: $path"
	[ -f "$path" ] || fail "$1 of $2 is no file: $path"
	printf '%s' "$path"
}

# fsck_index NAME: erofs-utils accepts the image's portable and local index
fsck_index() {
	local key path out
	for key in index_path local_index_path; do
		path=$(index_file $key "$1")
		out=$(fsck.erofs $(devices_of "$path") "$path" 2>&1) ||
			fail "fsck.erofs refuses $key of $1: $out"
	done
}

# devices_of INDEX: a --device option for each device that the superblock asks for; without
# --extract, fsck.erofs reads metadata only, so any file will do
devices_of() {
	python3 -c '
import struct, sys
f = open(sys.argv[1], "rb")
f.seek(1024 + 86)
print("--device=/dev/null " * struct.unpack("<H", f.read(2))[0])' "$1"
}

# fsck_store: the store is whole, by its own account, where this version can tell
fsck_store() {
	! plyfs fsck --help >/dev/null 2>&1 || expect_ok plyfs fsck --data
}

# disk_bytes: what the store takes on disk, by the program's own account
disk_bytes() { get 'd["disk_bytes"]' df; }

# make_layers: run a Python program from stdin with everything of mktar imported
make_layers() { python3 -c "import sys; from mktar import *; exec(sys.stdin.read())" "$@"; }

# check_stacks PATTERN...: import and mount the stacks of stacks.py that match, and check each tree
check_stacks() {
	local name source out wrong=0
	need_kernel_mount
	for name in $("$TESTS/stacks.py" list "$@"); do
		source=$("$TESTS/stacks.py" make stacks "$name")
		out=$(stack_differs "$name" "$source" 2>&1) || {
			printf '%s: %s\n' "$name" "$out"
			wrong=$((wrong + 1))
		}
		rm -rf "stacks/$name" "stacks/$name.tar"
	done
	[ $wrong = 0 ] || fail "$wrong stacks give another tree than they should"
}

stack_differs() {
	expect_ok timeout 60 "$PLYFS" import "$2" "$1" >/dev/null
	mounted "$1" m
	"$TESTS/stacks.py" check "$1" m || { umount m; return 1; }
	expect_ok plyfs umount m
	fsck_index "$1"
}

# refuse_all TABLE: each line `NAME<TAB>REGEX<TAB>SOURCE` must be refused for that reason, in a
# store of its own, quickly, without a change to anything outside of the store
refuse_all() {
	local name want source out wrong=0 count=0
	while IFS=$'\t' read -r name want source; do
		count=$((count + 1))
		out=$(PLYFS_STORE=$T/store-$name expect_refused "$want" \
			timeout 60 "$PLYFS" import "$source" x 2>&1) || {
			printf '%s: %s\n' "$name" "$out"
			wrong=$((wrong + 1))
		}
		rm -rf "$T/store-$name"
	done <"$1"
	note "$count inputs"
	[ $wrong = 0 ] || fail "$wrong of $count hostile inputs are not refused as they should be"
}

# canary: plant a file that no import may touch, and remember what lies beside it;
# canary_alive checks both
canary() {
	mkdir -p "$T/canary" && echo alive >"$T/canary/file" && touch -d @1000000000 "$T/canary/file"
	beside >"$T/.canary"
}
beside() {
	find "$T" -maxdepth 1 ! -name 'store*' -printf '%f\n' | sort
	find "$T/canary" /etc/passwd /etc/shadow -printf '%p %s %T@ %C@\n'
}
canary_alive() {
	beside | grep -vE '^\.(stderr|stdout|json)$' >"$T/.canary2"
	grep -vE '^\.(stderr|stdout|json)$' "$T/.canary" >"$T/.canary1"
	grep -vxE '\.canary2?' "$T/.canary2" | diff <(grep -vxE '\.canary2?' "$T/.canary1") - ||
		fail "files outside of the store have changed"
}

# flip FILE OFFSET: changes one byte
flip() {
	python3 -c '
import sys
f = open(sys.argv[1], "r+b")
f.seek(int(sys.argv[2]))
byte = f.read(1)
f.seek(int(sys.argv[2]))
f.write(bytes([byte[0] ^ 1]))' "$1" "$2"
}

# fsck_says STATUS EXPRESSION [ARG...]: fsck ends with this status, and the Python expression is true
# of its JSON: d, of its problems of a class: damaged, left, healed, leftover, and of what these
# touch: touches(problems), a sorted list of "image path" without repetitions
fsck_says() {
	local want=$1 expression=$2 rc=0
	shift 2
	"$PLYFS" fsck --json "$@" >"$T/.fsck" 2>"$T/.stderr" || rc=$?
	no_crash "fsck $*"
	[ $rc = "$want" ] || fail "exit $rc instead of $want from: fsck $*: $(cat "$T/.stderr" "$T/.fsck")"
	python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
def of(c): return [p for p in d["problems"] if p["class"] == c]
damaged, left, healed, leftover = map(of, ("damaged", "quarantined", "healed", "leftover"))
def touches(problems):
    return sorted({(t["image"] + " " + t.get("path", "")).strip() for p in problems for t in p["touches"]})
def kinds(problems): return [p["kind"] for p in problems]
sys.exit(not eval(sys.argv[2]))' "$T/.fsck" "$expression" ||
		fail "fsck $*: not $expression: $(cat "$T/.fsck")"
}
