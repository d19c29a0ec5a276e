# SPDX-License-Identifier: Apache-2.0
# Directories without an entry: the lower layer's attributes, else 0755 root, time 0.
# timeout: 300
. "$TESTS/lib.sh"
check_stacks 'implicit-*' 'parent-*' 'root-*'
