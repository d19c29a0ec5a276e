# SPDX-License-Identifier: Apache-2.0
# A compiler and ar at work on a writable mount.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
real_work compile
