# SPDX-License-Identifier: Apache-2.0
# Eight processes import, stack layers, mount, read, tag, remove, collect and are killed, all on one
# store (tests/stress/run): each finds what it put there, and in the end nothing else is left.
# `make stress` does it for longer.
# core
# asan
# timeout: 240
. "$TESTS/lib.sh"
need_kernel_mount
"$TESTS/stress/run" "$PLYFS" --seconds 15 --processes 8
