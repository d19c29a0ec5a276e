# SPDX-License-Identifier: Apache-2.0
# Hard links: to lower layers, symlinks and devices, through symlinks, over other names.
# timeout: 300
# asan
. "$TESTS/lib.sh"
check_stacks 'hard-link*'
