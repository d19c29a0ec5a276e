# SPDX-License-Identifier: Apache-2.0
# Corners of the tar format: v7, pax, base-256, sparse forms, missing ends, odd compressions.
# timeout: 300
. "$TESTS/lib.sh"
check_stacks 'no-*' 'one-end*' 'garbage-*' 'entries-*' 'v7' 'type-*' 'gzip-*' 'zstd-*' 'global-*' \
	'pax-[!l]*' 'mtime-*' 'ids-*' 'mode-*' 'numbers-*' 'checksum-*' 'sparse-*'
