# SPDX-License-Identifier: Apache-2.0
# git clones, checks out, merges, renames and collects garbage on a writable mount.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
need git
LEFT_OUT=(--ignore-path '*.git')
real_work git
