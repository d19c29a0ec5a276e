# SPDX-License-Identifier: Apache-2.0
# Device nodes and xattrs are kept; overlayfs's own never take effect.
# timeout: 300
. "$TESTS/lib.sh"
check_stacks 'overlay-*' 'char-*' 'xattr*' 'devices'
