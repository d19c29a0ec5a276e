# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: extended attributes.
. "$TESTS/lib.sh"
posix xattr
