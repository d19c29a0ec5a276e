# SPDX-License-Identifier: Apache-2.0
# The same while servers and supervisors are killed.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
need_postgres
LEFT_OUT=(--ignore-path 'data')
real_work postgres killed --fsync
