# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: mknod(2).
. "$TESTS/lib.sh"
posix mknod
