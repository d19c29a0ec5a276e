# SPDX-License-Identifier: Apache-2.0
# Paths that lead through symlinks are followed, and never out of the root.
# timeout: 300
# asan
. "$TESTS/lib.sh"
check_stacks 'below-*'
