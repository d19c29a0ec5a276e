# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: symlink(2) and readlink(2).
. "$TESTS/lib.sh"
posix symlink
