# SPDX-License-Identifier: Apache-2.0
# Odd names land below the root, byte for byte.
# timeout: 300
. "$TESTS/lib.sh"
check_stacks 'absolute*' 'dot*' 'name-*' '*long-names' 'ustar*' 'long-path' 'symlink-longest'
