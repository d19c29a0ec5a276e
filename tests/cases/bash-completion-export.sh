# SPDX-License-Identifier: Apache-2.0
# The bash completion knows where an export can go.
. "$TESTS/lib.sh"
PATH=${PLYFS%/*}:$PATH
mkdir there
completes() {
	COMP_LINE="plyfs $1" bash -c '
		. "$1"
		COMP_POINT=${#COMP_LINE} COMP_WORDBREAKS=" " COMPREPLY=()
		compopt() { :; }
		_plyfs plyfs x plyfs
		printf "%s\n" "${COMPREPLY[@]}"
	' - "$TESTS/../data/completions/plyfs" | grep -qxF -- "$2" || fail "'$1' is not completed to '$2'"
}
make_layers <<'PY'
write("a.tar", layer(file_("a", "x")))
PY
expect_ok plyfs import tar:a.tar some-image >/dev/null
completes 'export so' some-image:latest
completes 'export some-image docker' docker-archive:
completes 'export some-image oci:the' oci:there
completes 'export some-image tar:a' tar:a.tar
completes 'export --compress zs' zstd
completes 'export --compress zstd some' some-image:latest
