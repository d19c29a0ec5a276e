# SPDX-License-Identifier: Apache-2.0
# PostgreSQL at work on a writable mount, with a crash of its own.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
need_postgres
LEFT_OUT=(--ignore-path 'data')
real_work postgres --fsync
