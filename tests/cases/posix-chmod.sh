# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: chmod(2), and the rules of setuid, setgid and sticky.
. "$TESTS/lib.sh"
posix chmod
