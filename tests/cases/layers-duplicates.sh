# SPDX-License-Identifier: Apache-2.0
# Of entries for one path in one layer, the last wins.
# timeout: 300
. "$TESTS/lib.sh"
check_stacks 'duplicate*'
