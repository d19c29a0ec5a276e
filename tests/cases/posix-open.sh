# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: open(2).
. "$TESTS/lib.sh"
posix open
