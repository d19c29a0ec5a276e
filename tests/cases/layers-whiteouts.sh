# SPDX-License-Identifier: Apache-2.0
# Whiteouts hide what lower layers hold, and never what their own layer brings.
# timeout: 300
# asan
. "$TESTS/lib.sh"
check_stacks 'whiteout*' 'aufs*'
