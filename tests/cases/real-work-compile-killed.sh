# SPDX-License-Identifier: Apache-2.0
# The same while servers and supervisors are killed.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
real_work compile killed
