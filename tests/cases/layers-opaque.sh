# SPDX-License-Identifier: Apache-2.0
# An opaque directory hides all that lower layers hold in it, wherever its marker stands.
# timeout: 300
# asan
. "$TESTS/lib.sh"
check_stacks 'opaque*'
