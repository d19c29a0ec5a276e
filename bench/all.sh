#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every benchmark, one after the other, and prints their tables (Markdown). Takes some hours;
# lib.sh says what ROUNDS, PLYFS and BENCH_DIR set.
#
#   ROUNDS=5 bench/all.sh > figures.md

set -eu
for name in import sharing chunk-size read disk scale export gc fsck store write fuse-read commit fuse-memory messages; do
	"$(dirname "$0")/$name.sh"
done
