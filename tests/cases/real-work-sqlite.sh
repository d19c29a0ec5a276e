# SPDX-License-Identifier: Apache-2.0
# SQLite, with writers at the same time and writers that die, on a writable mount.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
LEFT_OUT=(--ignore-path '*.db' --ignore-path '*.db-*')
real_work sqlite --fsync
