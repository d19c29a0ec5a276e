# SPDX-License-Identifier: Apache-2.0
# A tree is copied through a tar, compared, and renamed over the original.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
need_packages
real_work tar
