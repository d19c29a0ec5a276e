# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: mkdir(2).
. "$TESTS/lib.sh"
posix mkdir
