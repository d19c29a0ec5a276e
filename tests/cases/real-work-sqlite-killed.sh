# SPDX-License-Identifier: Apache-2.0
# The same while servers and supervisors are killed.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
LEFT_OUT=(--ignore-path '*.db' --ignore-path '*.db-*')
real_work sqlite killed --fsync
