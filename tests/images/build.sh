#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds real OCI images out of Debian packages, for the demo, the tests and the benchmarks.
#
#   tests/images/build.sh NAME...    build what is missing, print the source (oci:DIR:NAME) of each
#   tests/images/build.sh --list     print the names there are
#
# The images land in one OCI layout, ${PLYFS_IMAGES:-${XDG_CACHE_HOME:-~/.cache}/plyfs/images}/oci.
# A layer is built once for every recipe (the same base and the same commands) and is then shared;
# whatever a kill interrupts is built again. Removing the folder rebuilds all, from today's packages.
# Needs root and Debian; packages come from the mirror that this machine's apt uses.

set -eu -o pipefail
export LC_ALL=C
umask 022

cache=${PLYFS_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/plyfs/images}
oci=$cache/oci
work=$cache/work # of one run, under the lock: emptied at the start and the end
root=$work/root  # the tree that the next layer's commands will see
images=(demo big big-v2 big-reordered bookworm trixie python python-v2 node postgres)

# ── the images ──────────────────────────────────────────────────────────────────────────────────

image_bookworm() {
	bootstrap bookworm
}

image_trixie() {
	bootstrap trixie
}

image_demo() {
	bootstrap bookworm
	install_layer python3-minimal iputils-ping libcap2-bin sudo e2fsprogs zstd file <<-'EOS'
		mkdir -p /opt/demo/conf.d /opt/demo/turns-into-a-file /opt/demo/shared
		cd /opt/demo
		seq 100000 > data
		ln data conf.d/same-inode-as-data
		ln -s ../data conf.d/link
		echo one > conf.d/one
		echo two > conf.d/two
		echo inside > turns-into-a-file/inside
		echo file > turns-into-a-directory
		chmod 2775 shared
		mkfifo fifo
		python3 -c 'import os; os.setxattr("data", "user.origin", b"demo")'
	EOS
	layer "opt/demo/conf.d" <<-'EOS'
		cd /opt/demo
		rm -r conf.d && mkdir conf.d && echo three > conf.d/three
		rm -r turns-into-a-file && echo file > turns-into-a-file
		rm turns-into-a-directory && mkdir turns-into-a-directory
		echo inside > turns-into-a-directory/inside
		echo changed >> data
		ln -s data shared/..link
		echo 'Served by plyfs.' > /etc/motd
		rm -r /usr/share/doc/zstd /usr/bin/zstdgrep
		chmod 4711 /usr/bin/chfn
		printf '%s\n' '#!/usr/bin/python3' 'import sys' \
			'print("Hello from Python", sys.version.split()[0], "in a plyfs image")' \
			> /usr/local/bin/hello
		chmod 755 /usr/local/bin/hello
	EOS
	config='{Cmd: ["/usr/local/bin/hello"], WorkingDir: "/opt/demo"}'
}

big_tools=(build-essential python3 python3-venv python3-dev perl git)
big_more=(cmake gdb libboost1.74-dev libicu-dev vim-nox)

image_big() {
	bootstrap bookworm
	install_layer "${big_tools[@]}"
	install_layer "${big_more[@]}"
}

image_big_v2() {
	bootstrap bookworm
	install_layer "${big_tools[@]}"
	install_layer nodejs npm
}

image_big_reordered() {
	bootstrap bookworm '' 'once more, for other digests'
	install_layer "${big_more[@]}"
	install_layer "${big_tools[@]}"
}

# The release as it came out, and below, in v2, the same image with the updates since.
image_python() {
	bootstrap bookworm release-only
	install_layer python3 python3-pip python3-venv python3-numpy python3-requests
	config='{Cmd: ["python3"]}'
}

image_python_v2() {
	bootstrap bookworm
	install_layer python3 python3-pip python3-venv python3-numpy python3-requests python3-yaml
	config='{Cmd: ["python3"]}'
}

image_node() {
	bootstrap bookworm
	install_layer nodejs npm
	config='{Cmd: ["node"]}'
}

image_postgres() {
	bootstrap bookworm
	install_layer postgresql
	config='{Cmd: ["postgres"]}'
}

# ── steps of an image ───────────────────────────────────────────────────────────────────────────

# bootstrap SUITE ['release-only'] [SALT]: the first layer, a minimal Debian.
bootstrap() {
	suite=$1 only=${2:-}
	rm -rf "$root"
	keys=() applied=0 config='{}'
	next_key "bootstrap $*" && return
	say "Debian $suite ${only:+(release only) }"
	mkdir -p "$work/tmp"
	sources "$suite" "$only" |
		TMPDIR=$work/tmp mmdebstrap --mode=root --variant=minbase --format=directory --quiet \
			"${aptopts[@]}" "$suite" "$root" - >&2
	rm -f "$root/etc/hostname" "$root/etc/apt/apt.conf.d/99mmdebstrap"
	: > "$root/etc/resolv.conf"
	chmod 644 "$root/etc/resolv.conf"
	printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" # no service starts in a chroot
	chmod 755 "$root/usr/sbin/policy-rc.d"
	{ printf './\0' && find "$root" -mindepth 1 -printf '%P\0' | sort -z; } > "$work/content"
	: > "$work/whiteouts"
	store_layer "bootstrap $suite $only"
}

# install_layer PACKAGE... [< commands]: a layer with packages, and what the commands do.
install_layer() {
	local more=
	[ -t 0 ] || more=$(cat)
	layer '' <<-EOS
		apt-get update -q
		apt-get install -qy --no-install-recommends -o Dpkg::Options::=--force-unsafe-io $*
		$more
	EOS
}

# layer OPAQUE-DIRECTORY < commands: a layer that holds what the commands change. The directory,
# where one is named, hides whatever the layers below it hold in the same place.
layer() {
	local opaque=$1 commands
	commands=$(cat)
	next_key "$opaque $commands" && return
	catch_up
	say "layer $((${#keys[@]})): $(grep -m1 install <<< "$commands" || echo changes)"
	find "$root" -mindepth 1 -printf '%P\0' | sort -z > "$work/before"
	touch "$work/stamp"
	sleep 0.1
	in_root "$commands" >&2
	find "$root" -mindepth 1 -cnewer "$work/stamp" ! -type s -printf '%P\0' | sort -z > "$work/changed"
	find "$root" -mindepth 1 -printf '%P\0' | sort -z > "$work/after"
	{
		cat "$work/changed"
		[ -z "$opaque" ] || find "$root/$opaque" -mindepth 1 -printf "$opaque/%P\0"
	} | sort -zu > "$work/content"
	comm -z -23 "$work/before" "$work/after" | list_whiteouts "$opaque" > "$work/whiteouts"
	store_layer "$commands"
}

# The whiteouts for the vanished paths on stdin: one for the topmost vanished name of each.
list_whiteouts() {
	local path dir
	[ -z "$1" ] || printf '%s\0' "$1/.wh..wh..opq"
	while IFS= read -r -d '' path; do
		dir=$(dirname "$path")
		if [ -L "$root/$dir" ] || [ ! -d "$root/$dir" ]; then continue; fi
		[ -z "$1" ] || case $dir/ in "$1"/*) continue ;; esac
		printf '%s\0' "$dir/.wh.$(basename "$path")"
	done
}

# ── making them ─────────────────────────────────────────────────────────────────────────────────

say() {
	echo "images: $*" >&2
}

# next_key RECIPE: name the next layer by its recipe and all below it; true if it is there already.
next_key() {
	local below=${keys[*]: -1} key
	key=$(sha256sum <<< "$below $1" | cut -c 1-64)
	keys+=("$key")
	[ -e "$cache/layers/$key.json" ]
}

# Bring the root up to the layer below the one to be built.
catch_up() {
	mkdir -p "$root"
	while [ "$applied" -lt $((${#keys[@]} - 1)) ]; do
		apply_layer "$oci/blobs/sha256/$(jq -r .digest "$cache/layers/${keys[applied]}.json")"
		applied=$((applied + 1))
	done
}

apply_layer() {
	local path
	{ tar -tzf "$1" --quoting-style=literal | grep -E '(^|/)\.wh\.' || true; } |
		while IFS= read -r path; do
			rm -rf "${root:?}/$(dirname "$path")/$(basename "$path" | cut -c 5-)"
		done
	tar -xpzf "$1" -C "$root" --numeric-owner --xattrs --xattrs-include='*' --exclude='.wh.*'
}

# The package lists and archives lie outside of the root, and are kept for the next layer.
in_root() {
	"$(dirname "$0")/in-root.sh" "$root" "$suite$only" "$1"
}

# Make the layer's tar of what "content" and "whiteouts" list, compress it, put down its digests.
store_layer() {
	local key=${keys[*]: -1} tar=$work/layer.tar blob diff_id digest
	rm -rf "$work/wh" && mkdir "$work/wh"
	(cd "$work/wh" && xargs -r0 dirname -z < "$work/whiteouts" | xargs -r0 mkdir -p &&
		xargs -r0 touch < "$work/whiteouts")
	tar -cf "$tar" --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
		--numeric-owner --xattrs --xattrs-include='*' --xattrs-exclude=security.selinux \
		--no-recursion --verbatim-files-from --null \
		-C "$work/wh" -T "$work/whiteouts" -C "$root" -T "$work/content"
	pigz -nc "$tar" > "$tar.gz"
	diff_id=$(sha256sum < "$tar" | cut -c 1-64)
	digest=$(sha256sum < "$tar.gz" | cut -c 1-64)
	blob=$oci/blobs/sha256/$digest
	mv "$tar.gz" "$blob"
	rm "$tar"
	jq -n --arg by "$1" --arg digest "$digest" --arg diff_id "$diff_id" \
		--argjson size "$(stat -c %s "$blob")" --arg created "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
		'{digest: $digest, diff_id: $diff_id, size: $size, created: $created, created_by: $by}' |
		write_file "$cache/layers/$key.json"
	applied=${#keys[@]}
}

# All or nothing: what a name shows is whole.
write_file() {
	cat > "$work/new"
	mv "$work/new" "$1"
}

# put_blob MEDIA-TYPE < bytes: store them, print the OCI descriptor.
put_blob() {
	local digest
	cat > "$work/blob"
	digest=$(sha256sum < "$work/blob" | cut -c 1-64)
	jq -nc --arg type "$1" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$work/blob")" \
		'{mediaType: $type, digest: $digest, size: $size}'
	mv "$work/blob" "$oci/blobs/sha256/$digest"
}

# store_image NAME: config and manifest over the layers, and at last the name in the layout's index.
store_image() {
	local layers descriptor
	layers=$(for key in "${keys[@]}"; do cat "$cache/layers/$key.json"; done | jq -s .)
	descriptor=$(jq -c --arg arch "$(dpkg --print-architecture)" "{
		created: .[-1].created, architecture: \$arch, os: \"linux\",
		config: ({Env: [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",
			\"LANG=C.UTF-8\"], Cmd: [\"bash\"]} + $config),
		rootfs: {type: \"layers\", diff_ids: map(\"sha256:\" + .diff_id)},
		history: map({created, created_by})
	}" <<< "$layers" | put_blob application/vnd.oci.image.config.v1+json)
	descriptor=$(jq -c --argjson config "$descriptor" '{
		schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config,
		layers: map({mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
			digest: ("sha256:" + .digest), size})
	}' <<< "$layers" | put_blob application/vnd.oci.image.manifest.v1+json)
	[ -e "$oci/index.json" ] || echo '{"schemaVersion": 2, "manifests": []}' | write_file "$oci/index.json"
	jq --arg name "$1" --argjson descriptor "$descriptor" '
		"org.opencontainers.image.ref.name" as $ref |
		.manifests |= map(select(.annotations[$ref] != $name)) +
			[$descriptor + {annotations: {($ref): $name}}]
	' "$oci/index.json" | write_file "$oci/index.json"
}

# sources SUITE ['release-only']: this machine's Debian sources, turned to the suite.
sources() {
	local here line
	# shellcheck disable=SC1091
	here=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	line='deb $(REPO_URI) $(RELEASE) $(COMPONENT)'
	apt-get indextargets --format "$line" 'Created-By: Packages' 'Origin: Debian' |
		awk -v here="$here" -v suite="$1" -v only="$2" '
			$3 == here || (!only && ($3 == here "-updates" || $3 == here "-security")) {
				sub(here, suite, $3)
				print
			}' | sort -u
}

# What this machine's apt accepts of its mirror's age, the bootstrapped apt may accept too.
apt_options() {
	local name
	aptopts=()
	for name in Acquire::Check-Valid-Until Acquire::Check-Date; do
		[ "$(apt-config --format '%v' dump "$name" | tr -d '"')" = false ] || continue
		aptopts+=("--aptopt=$name \"false\"")
	done
}

install_needs() {
	local missing=() tool
	for tool in mmdebstrap jq pigz; do
		command -v "$tool" > /dev/null || missing+=("$tool")
	done
	if [ ${#missing[@]} -gt 0 ] || [ -z "$(sources bookworm '')" ]; then
		apt-get update -q >&2
		apt-get install -qy --no-install-recommends "${missing[@]}" >&2
	fi
}

build() {
	"image_${1//-/_}" < /dev/null
	store_image "$1"
	rm -rf "$root"
	echo "oci:$oci:$1"
}

main() {
	local name
	[ "${1:-}" != --list ] || { printf '%s\n' "${images[@]}"; return; }
	[ $# -gt 0 ] || { sed -n '3,12s/^# \?//p' "$0" >&2; exit 2; }
	for name; do
		[[ " ${images[*]} " == *" $name "* ]] || { say "no image '$name'; --list lists them"; exit 2; }
	done
	[ "$(id -u)" = 0 ] || { say "must run as root"; exit 1; }

	mkdir -p "$oci/blobs/sha256" "$cache/layers"
	exec 9> "$cache/lock"
	flock -n 9 || { say "waiting for another build"; flock 9; }
	rm -rf "$work" && mkdir "$work"
	trap 'rm -rf "$work"' EXIT
	echo '{"imageLayoutVersion": "1.0.0"}' | write_file "$oci/oci-layout"
	install_needs
	apt_options
	for name; do
		build "$name"
	done
}

main "$@"
