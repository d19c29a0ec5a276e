# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: access control lists.
. "$TESTS/lib.sh"
posix acl
