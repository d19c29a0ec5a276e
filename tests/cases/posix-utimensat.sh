# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: utimensat(2).
. "$TESTS/lib.sh"
posix utimensat
