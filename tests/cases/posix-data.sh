# SPDX-License-Identifier: Apache-2.0
# core
# On writable mounts: reading, writing, holes, mappings, locks, listing.
. "$TESTS/lib.sh"
posix data
