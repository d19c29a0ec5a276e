# SPDX-License-Identifier: Apache-2.0
# A path may change its type and attributes from layer to layer.
# timeout: 300
# asan
. "$TESTS/lib.sh"
check_stacks 'file-dir*' 'directory-*' 'symlink-to-*' 'device-*' 'upper-*'
