# SPDX-License-Identifier: Apache-2.0
# Every source file says its licence once.
bad=0
for file in $(find src fuzz tests bench examples scripts man data .ci -type f \
	-not -path 'fuzz/corpus/*' -not -name '*.dict' -not -path '*/golden/*' -not -path '*/__pycache__/*'); do
	[ "$(head -5 "$file" | grep -ac 'SPDX-License-Identifier: Apache-2.0')" = 1 ] ||
		{ echo "$file has no SPDX line"; bad=1; }
done
exit $bad
