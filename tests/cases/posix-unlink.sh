# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: unlink(2).
. "$TESTS/lib.sh"
posix unlink
