# SPDX-License-Identifier: Apache-2.0
# OCI layouts and archives with wrong digests, shapes, types or blobs are refused for their reason.
# core
# timeout: 600
. "$TESTS/lib.sh"
"$TESTS/hostile/layouts.py" in >table
canary
refuse_all table
canary_alive
