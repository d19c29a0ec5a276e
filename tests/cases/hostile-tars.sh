# SPDX-License-Identifier: Apache-2.0
# Tars that lie, are cut short, or lead out of the root are refused, each for its reason.
# core
# timeout: 600
# asan
. "$TESTS/lib.sh"
need zstd
"$TESTS/hostile/tars.py" in >table
canary
refuse_all table
canary_alive
