# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: truncate(2) and ftruncate(2).
. "$TESTS/lib.sh"
posix truncate
