# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: chown(2).
. "$TESTS/lib.sh"
posix chown
