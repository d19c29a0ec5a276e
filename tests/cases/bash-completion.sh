# SPDX-License-Identifier: Apache-2.0
# The bash completion loads and completes commands.
. "$TESTS/lib.sh"
file=
for f in "$TESTS/../data/bash-completion/plyfs" "$TESTS/../data/completions/plyfs" \
	"$TESTS/../data/plyfs.bash" "$BUILD/data/plyfs" "$BUILD/plyfs.bash" "$BUILD/data/plyfs.bash"; do
	[ ! -f "$f" ] || file=$f
done
[ -n "$file" ] || fail "no completion file"
PATH=${PLYFS%/*}:$PATH # it asks the program for its commands
bash -eu -c '
	. "$1"
	COMP_WORDS=(plyfs imp) COMP_CWORD=1 COMP_LINE="plyfs imp" COMP_POINT=9 COMPREPLY=()
	f=$(complete -p plyfs | sed "s/.*-F \([^ ]*\).*/\1/")
	set +eu
	$f plyfs imp plyfs
	[[ " ${COMPREPLY[*]} " == *" import "* ]] || { echo "got: ${COMPREPLY[*]}"; exit 1; }
' - "$file" || fail "the completion does not complete"
