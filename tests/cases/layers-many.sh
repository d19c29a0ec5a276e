# SPDX-License-Identifier: Apache-2.0
# 130 layers, and empty ones.
# timeout: 300
. "$TESTS/lib.sh"
check_stacks 'many-layers' 'empty-layer' 'only-empty*'
