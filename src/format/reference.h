/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image references in docker's short forms (distribution project, reference grammar).
 */
#pragma once

#include "util/buf.h"

/*
 * Appends the full form of `name` with docker's defaults: "debian" is
 * "docker.io/library/debian:latest". What has a digest gets no tag. Does not check the grammar:
 * for comparing two names.
 */
_must_check_ int reference_expand(const char *name, struct buf *ret);
