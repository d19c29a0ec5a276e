# SPDX-License-Identifier: Apache-2.0
# A store that lies inside the imported tree is not imported into itself without end.
. "$TESTS/lib.sh"
mkdir -p src/var
echo x >src/file
export PLYFS_STORE=$T/src/var/store
rc=0
timeout 60 "$PLYFS" import rootfs:src tree 2>err || rc=$?
[ $rc = 0 ] || [ $rc = 1 ] || fail "exit $rc: $(cat err)"
[ $rc = 1 ] || [ "$(plyfs cat tree /file)" = x ] || fail "wrong content"
