# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034,SC2015,SC2164 # what is set is for cases; a case ends where a cd fails
# Real work on writable mounts; cases real-work-*.sh source this behind lib.sh.
#
# Each WORK has two functions: WORK_base makes the tree that becomes the image, WORK_work DIR works in
# a copy of it and checks what it can. real_work does the work on a plain directory and on a cow
# mount, on request with servers that are killed all the while, and compares the two trees.
#
# REAL_WORK=large does more of everything (make real-work).

SOURCE=$(cd "$TESTS/.." && pwd)

# large N M: N, or with REAL_WORK=large M
large() { [ "${REAL_WORK-}" = large ] && echo "$2" || echo "$1"; }

# need_cow: skip where this plyfs cannot mount a cow container
need_cow() {
	[ -e /dev/fuse ] || skip 'no /dev/fuse'
	plyfs mount --help | grep -q -- --rw || skip 'no writable mounts in this version'
}

# real_work WORK [killed] [OPTION...]: options are those of mount
real_work() {
	local work=$1 killed=
	shift
	[ "${1-}" != killed ] || { killed=1; shift; }
	mkdir base plain m
	"${work}_base" base
	expect_ok plyfs import rootfs:base base >/dev/null
	cp -a base/. plain
	note "$work on a plain directory"
	"${work}_work" "$T/plain"
	note "$work on a mount${killed:+, servers killed}"
	CONTAINER=$(plyfs mount --rw --driver cow "$@" base m)
	[ -z "$killed" ] || start_killer
	"${work}_work" "$T/m"
	[ -z "$killed" ] || stop_killer
	same_work plain m
	expect_ok plyfs umount m
	note 'mounted again'
	expect_ok plyfs mount --rw --driver cow --container "$CONTAINER" m >/dev/null
	same_work plain m
	expect_ok plyfs umount m
	expect_ok plyfs container rm "$CONTAINER"
	fsck_store
}

# What may differ between two runs of the same work is in LEFT_OUT, as options of cmptree.
LEFT_OUT=()
same_work() { same_tree "$@" --ignore mtime "${LEFT_OUT[@]}"; }

# ---- killing -------------------------------------------------------------------------------------

# serving server|supervisor [PID]: processes of the mount, but for PID; of this case's pid namespace
serving() { pgrep -f "^[^ ]+ fuse-$1\$" | grep -vx "${2-none}" || :; }

# Kills the mount's two processes in turn, and waits until there is a successor. Ten servers that die
# within ten seconds would end the mount.
start_killer() {
	[ -n "$(serving server)" ] && [ -n "$(serving supervisor)" ] ||
		fail 'no server and supervisor are there'
	rm -f killer.stop
	killer >killer.log 2>&1 & KILLER=$!
}

killer() {
	local kills=0 what pid
	until [ -e killer.stop ]; do
		sleep "$((RANDOM % 2)).$((4 + RANDOM % 5))"
		[ $((kills % 2)) = 0 ] && what=server || what=supervisor
		pid=$(serving $what)
		kill -9 "$pid" || { echo "no $what to kill: $pid"; return 1; }
		wait_for $what "$pid" || { echo "no successor of $what $pid"; return 1; }
		kills=$((kills + 1))
	done
	echo $kills >killer.kills
}

wait_for() {
	local try
	for ((try = 0; try < 200; try++)); do
		[ -z "$(serving "$1" "$2")" ] || return 0
		sleep 0.05
	done
	return 1
}

stop_killer() {
	touch killer.stop
	wait "$KILLER" || fail "killing: $(cat killer.log)"
	note "$(cat killer.kills) kills"
	[ "$(cat killer.kills)" -ge 2 ] || fail 'fewer than two kills'
}

# ---- packages: apt-get in a chroot ---------------------------------------------------------------

# What the images' recipes have downloaded: no network is needed.
need_packages() {
	need_demo
	ls "$PLYFS_IMAGES"/apt/archives/*.deb >/dev/null 2>&1 ||
		skip 'no packages in PLYFS_IMAGES (tests/images/build.sh leaves them there)'
	need unshare apt-config
}

demo_blob() {
	python3 - "$DEMO" "$1" <<'PY'
import json, sys
blob = lambda d: sys.argv[1] + "/blobs/" + d["digest"].replace(":", "/")
names = json.load(open(sys.argv[1] + "/index.json"))["manifests"]
demo = next(m for m in names if m["annotations"]["org.opencontainers.image.ref.name"] == "demo")
print(blob(json.load(open(blob(demo)))["layers"][int(sys.argv[2])]))
PY
}

packages_base() {
	tar -xpzf "$(demo_blob 0)" -C "$1" --numeric-owner --xattrs --xattrs-include='*'
}

# Those of the demo image's second layer, and removing some of them again; or a compiler and more.
packages_work() {
	local names
	names=$(large 'python3-minimal libcap2-bin zstd file' \
		'build-essential python3 python3-venv perl git cmake gdb vim-nox nodejs')
	# Its locks would keep other cases from the archives.
	"$TESTS/images/in-root.sh" "$1" bookworm "
		echo 'Debug::NoLocking true;' >/etc/apt/apt.conf.d/no-locking
		apt-get install -qy --no-download --no-install-recommends -o Dpkg::Use-Pty=0 $names
		apt-get remove -qy --purge zstd
		dpkg --audit
		dpkg --verify
		apt-get check -q
	" >"$T/log" 2>&1 || fail "apt-get: $(tail -20 "$T/log")"
	[ -z "$(chroot "$1" dpkg --audit)" ] || fail 'dpkg --audit has complaints'
}

packages_left_out=(var/log var/cache/ldconfig var/cache/apt var/lib/apt var/lib/dpkg/lock
	var/lib/dpkg/triggers/Lock)

# ---- compile: a part of this project ---------------------------------------------------------------

compile_base() {
	mkdir "$1/project"
	cp -a "$SOURCE"/{src,include,meson.build,meson_options.txt,man,data,examples} "$1/project" \
		2>/dev/null || cp -a "$SOURCE"/{src,meson.build,meson_options.txt,man,data,examples} \
		"$1/project"
}

# Twice, the second time after a change to a header, which is all in the lower layer at first.
compile_work() {
	(
		cd "$1/project"
		compile_parts
		echo '/* changed */' >>src/util/err.h
		compile_parts
		rm -r objects/util
	)
}

compile_parts() {
	local part file
	for part in util format $(large '' 'store source image'); do
		mkdir -p "objects/$part"
		for file in src/"$part"/*.c; do
			[[ $file != */test-* && $file != *-isal.c ]] || continue
			gcc -std=gnu17 -D_GNU_SOURCE -DPLYFS_VERSION='"test"' -Isrc -Isrc/include \
				-pipe -c "$file" -o "objects/$part/$(basename "$file" .c).o"
		done
		rm -f "$part.a"
		ar rcD "$part.a" objects/"$part"/*.o
	done
}

# ---- sqlite ----------------------------------------------------------------------------------------

sqlite_base() { "$TESTS/real-work-sqlite.py" new "$1" 20000; }
sqlite_work() { "$TESTS/real-work-sqlite.py" work "$1" "$(large 60 1000)" || fail 'SQLite'; }

# ---- postgres --------------------------------------------------------------------------------------

PG_BIN=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | tail -1 || :)
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups env -C / HOME=/ "$@"; }
need_postgres() {
	[ -n "$PG_BIN" ] && id postgres >/dev/null 2>&1 || skip 'no PostgreSQL'
	chmod 755 "$T"
}

postgres_base() {
	mkdir "$1/data"
	chown postgres: "$1/data"
	as_postgres "$PG_BIN/initdb" -D "$T/$1/data" -A trust --no-sync >"$T/log" 2>&1 ||
		fail "initdb: $(tail -5 "$T/log")"
}

pg_start() {
	as_postgres "$PG_BIN/pg_ctl" -D "$1/data" -w -t 60 -l "$1/data/log" \
		-o "-k $1/data -c listen_addresses= -c shared_buffers=16MB" start >"$T/log" 2>&1 ||
		fail "postgres does not start: $(tail -5 "$1/data/log")"
}

pg_run() { as_postgres env PGHOST="$1/data" "${@:2}"; }

# Transactions, a crash of the database, more of them, and checks of every page and index.
postgres_work() {
	local seconds
	seconds=$(large 3 60)
	pg_start "$1"
	pg_run "$1" "$PG_BIN/pgbench" -q -i -s "$(large 2 20)" postgres >"$T/log" 2>&1 ||
		fail "pgbench: $(tail -5 "$T/log")"
	pg_run "$1" "$PG_BIN/pgbench" -n -c 4 -T "$seconds" postgres >"$T/log" 2>&1 ||
		fail "pgbench: $(tail -5 "$T/log")"
	pg_run "$1" "$PG_BIN/pgbench" -n -c 4 -T "$seconds" postgres >/dev/null 2>&1 &
	sleep 1
	as_postgres "$PG_BIN/pg_ctl" -D "$1/data" -m immediate stop >/dev/null
	wait $! || :
	pg_start "$1"
	pg_check "$1"
	as_postgres "$PG_BIN/pg_ctl" -D "$1/data" -m fast stop >/dev/null
	as_postgres "$PG_BIN/pg_checksums" -c -D "$1/data" >/dev/null 2>&1 ||
		[ "$(as_postgres "$PG_BIN/pg_controldata" "$1/data" |
			sed -n 's/^Data page checksum version: *//p')" = 0 ] || fail 'pg_checksums'
}

# pgbench's invariant: what was moved between accounts, tellers and branches adds up.
pg_check() {
	local sums
	sums=$(pg_run "$1" psql -Atc 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT sum(tbalance) FROM pgbench_tellers) AND (SELECT sum(tbalance) FROM
		pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches) AND (SELECT
		sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)' postgres)
	[ "$sums" = t ] || fail "the accounts do not add up: $sums"
	pg_run "$1" psql -qc 'CREATE EXTENSION IF NOT EXISTS amcheck' postgres >/dev/null
	pg_run "$1" "$PG_BIN/pg_amcheck" --heapallindexed postgres || fail 'pg_amcheck'
}

# ---- git -------------------------------------------------------------------------------------------

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_CONFIG_COUNT=1
export GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

# A repository of this project's files, with commits that rename, delete and change some.
git_base() {
	local i name
	git init -q -b main "$1/repo"
	cp -a "$SOURCE"/{src,docs,tests} "$1/repo"
	(
		cd "$1/repo"
		find . -name __pycache__ -prune -exec rm -r {} +
		git add -A && git commit -qm first
		for ((i = 0; i < 8; i++)); do
			name=$(git ls-files src | sed -n "$((i * 7 + 1))p")
			git mv "$name" "moved-$i.c"
			git rm -q "$(git ls-files src | sed -n "$((i * 5 + 1))p")"
			seq $((i * 100)) >>docs/design.md
			git commit -qam "number $i"
		done
	)
}

git_work() {
	(
		cd "$1"
		git clone -q --no-hardlinks repo clone
		for i in $(seq 0 "$(large 7 8)"); do
			git -C clone checkout -q "main~$((i % 9))"
			[ -z "$(git -C clone status --porcelain)" ]
		done
		git -C clone checkout -q -b side main~5
		seq 50 >clone/side
		git -C clone add side
		git -C clone commit -qm side
		git -C clone merge -q -m merged main
		git -C clone stash list
		git -C clone gc -q
		git -C clone fsck --full --strict
		git -C repo gc -q --prune=now
		git -C repo fsck --full --strict
		git -C repo mv src sources
		git -C repo commit -qam 'a directory renamed'
		git -C repo worktree add -q ../tree main~2
	)
}

# ---- tar -------------------------------------------------------------------------------------------

tar_base() { packages_base "$1"; }

# Everything is copied through a tar, compared, and put in the place of the original.
tar_work() {
	(
		cd "$1"
		mkdir copy
		tar -cf all.tar --xattrs --xattrs-include='*' --numeric-owner usr etc var
		tar -xpf all.tar -C copy --xattrs --xattrs-include='*' --numeric-owner
		for part in usr etc var; do
			"$TESTS/cmptree.py" "$part" "copy/$part"
			rm -r "$part"
			mv "copy/$part" "$part"
		done
		rmdir copy
		find usr -type f -name '*.gz' -exec sh -c 'for f; do mv "$f" "$f.old"; cp -p "$f.old" "$f"; done' - {} +
		find . -name '*.old' -delete
		rm all.tar
	)
}
