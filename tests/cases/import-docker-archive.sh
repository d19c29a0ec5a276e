# SPDX-License-Identifier: Apache-2.0
# A docker-archive, as skopeo writes it from the demo image, gives the same tree.
# timeout: 300
. "$TESTS/lib.sh"
need_demo
need skopeo
need_kernel_mount

skopeo copy -q "oci:$DEMO:demo" "docker-archive:demo.tar:plyfs/demo:1"
expect_ok plyfs import "oci:$DEMO:demo" oci
expect_ok plyfs import "docker-archive:demo.tar" docker
expect_ok plyfs --store "$T/other" import "docker-archive:demo.tar:plyfs/demo:1" docker
mounted oci a
mounted docker b
same_tree a b
one=$(get 'd["index_digest"]' inspect oci)
two=$(PLYFS_STORE=$T/other get 'd["index_digest"]' inspect docker)
[ "$one" = "$two" ] || fail "index $two from the docker-archive, $one from the OCI layout"
