# SPDX-License-Identifier: Apache-2.0
# Includes point to the left in the order of the layers only (docs/design.md).
order='util format store source image upper fs mount lib tool'
bad=0
seen=
for layer in $order; do
	seen="$seen $layer"
	for file in src/$layer/*.[ch]; do
		for included in $(sed -n 's|^#include "\([a-z]*\)/.*|\1|p' "$file"); do
			case "$seen " in
			*" $included "*) ;;
			*) echo "$file includes something of $included/"; bad=1 ;;
			esac
		done
	done
done
# The tool is a user of the public library: of the rest it may use util/ alone.
if grep -l '^#include "\(format\|store\|source\|image\|upper\|fs\|mount\|lib\)/' src/tool/*; then
	echo 'these look behind plyfs.h'
	bad=1
fi
exit $bad
