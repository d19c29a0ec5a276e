# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: link(2).
. "$TESTS/lib.sh"
posix link
