# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: rename(2) and renameat2(2).
. "$TESTS/lib.sh"
posix rename
