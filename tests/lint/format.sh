# SPDX-License-Identifier: Apache-2.0
# Every C file is as clang-format would have it.
clang-format --version | grep -q 'version 14' || { echo 'SKIP: clang-format 14 is what counts'; exit 77; }
find src fuzz examples tests bench -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
