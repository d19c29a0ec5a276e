# SPDX-License-Identifier: Apache-2.0
# apt-get installs and removes packages in a chroot on a writable mount.
# timeout: 3600
. "$TESTS/lib.sh"
. "$TESTS/real-work.sh"
need_cow
need_packages
for path in "${packages_left_out[@]}"; do LEFT_OUT+=(--ignore-path "$path"); done
real_work packages
