# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: what other users than root may do.
. "$TESTS/lib.sh"
posix permission
