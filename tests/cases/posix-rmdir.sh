# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: rmdir(2).
. "$TESTS/lib.sh"
posix rmdir
