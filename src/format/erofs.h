/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS's on-disk structures, as far as an index uses them. All fields are little-endian.
 *
 * Source: the EROFS documentation, "Core on-disk format", "Chunk-based files" and "Extended
 * attributes"; what of it an index uses, and the tables, are in docs/format.md.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define EROFS_BLOCK_BITS   12
#define EROFS_BLOCK_SIZE   4096u
#define EROFS_SUPER_OFFSET 1024u
#define EROFS_SUPER_MAGIC  0xE0F5E1E2u
#define EROFS_SLOT_SIZE    32u /* a nid counts slots */

#define EROFS_COMPAT_CHECKSUM   0x1u
#define EROFS_COMPAT_MTIME      0x2u
#define EROFS_INCOMPAT_CHUNKED  0x4u
#define EROFS_INCOMPAT_DEVTABLE 0x8u

struct erofs_super {
	uint32_t magic;
	uint32_t checksum; /* CRC-32C, without the last inversion, of 1024 to 4095 with 0 in here */
	uint32_t feature_compat;
	uint8_t block_bits;
	uint8_t ext_slots;
	uint16_t root_nid;
	uint64_t inodes;
	uint64_t epoch;
	uint32_t epoch_nsec;
	uint32_t blocks;
	uint32_t meta_block;
	uint32_t xattr_block;
	uint8_t uuid[16];
	uint8_t volume[16];
	uint32_t feature_incompat;
	uint16_t compression;
	uint16_t extra_devices;
	uint16_t device_slot; /* where the device table begins, in units of 128 bytes */
	uint8_t reserved[38];
};
static_assert(sizeof(struct erofs_super) == 128, "superblock");

struct erofs_device {
	uint8_t tag[64];
	uint32_t blocks;
	uint32_t mapped_block;
	uint8_t reserved[56];
};
static_assert(sizeof(struct erofs_device) == 128, "device slot");

/* Inode data layouts: i_format bits 1 to 3; bit 0 says "extended", 64 bytes. */
enum erofs_layout { EROFS_PLAIN = 0, EROFS_INLINE = 2, EROFS_CHUNKS = 4 };
#define EROFS_FORMAT_EXTENDED 1u

#define EROFS_CHUNK_INDEXES   0x20u /* 8-byte entries, with a device each */
#define EROFS_CHUNK_BITS_MASK 0x1fu /* log2 of the blocks in a chunk */
#define EROFS_NULL_BLOCK      0xffffffffu

struct erofs_inode {
	uint16_t format;
	uint16_t xattr_count; /* 0: none; else 12 + 4 * (count - 1) bytes follow the inode */
	uint16_t mode;
	uint16_t reserved;
	uint64_t size;
	uint32_t u; /* first block; device number; or chunk format */
	uint32_t ino;
	uint32_t uid;
	uint32_t gid;
	uint64_t mtime;
	uint32_t mtime_nsec;
	uint32_t nlink;
	uint8_t reserved2[16];
};
static_assert(sizeof(struct erofs_inode) == 64, "inode");

struct erofs_chunk {
	uint16_t block_hi; /* 0 */
	uint16_t device;   /* 1 is the first in the device table */
	uint32_t block;    /* EROFS_NULL_BLOCK: a hole */
};
static_assert(sizeof(struct erofs_chunk) == 8, "chunk index");

struct erofs_xattr_header {
	uint32_t name_filter;
	uint8_t shared_count; /* 4-byte ids that follow: positions in the shared area, over 4 */
	uint8_t reserved[7];
};
static_assert(sizeof(struct erofs_xattr_header) == 12, "xattr header");

struct erofs_xattr_entry {
	uint8_t name_len; /* without the prefix */
	uint8_t prefix;   /* enum erofs_xattr_prefix */
	uint16_t value_size;
};
static_assert(sizeof(struct erofs_xattr_entry) == 4, "xattr entry");

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset; /* in the directory block; the first one tells how many entries */
	uint8_t type;
	uint8_t reserved;
} __attribute__((packed));
static_assert(sizeof(struct erofs_dirent) == 12, "directory entry");
