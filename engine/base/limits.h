/* SPDX-License-Identifier: MIT */
/* limits.h: the constants of the engine, each with its unit and its reason. */
#ifndef RETINA_BASE_LIMITS_H
#define RETINA_BASE_LIMITS_H

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* A ring, bytes: the verifier takes offsets into a map's element below 512 MiB, a record's length
 * on top included. */
#define RING_SIZE_MAX (256 * MIB)

/* What kernels before 6.0 take: an array's element had to fit their largest kmalloc(), 4 MiB. */
#define RING_SIZE_OLD_KERNELS (2 * MIB)

/* Default ring of one CPU, bytes: 25 ms at 10 Gbit/s, and what arrives at 200 kpps of 1 KB frames
 * while a 100m CPU quota is used up. */
#define RING_SIZE_DEFAULT (32 * MIB)

/* All default rings together, bytes: with more than two CPUs each ring gets smaller, so that the
 * process stays within 96 MiB ... */
#define RING_BUDGET_DEFAULT (64 * MIB)

/* ... but not smaller than this, bytes: 64 CPUs fit a Job of 300 MiB. */
#define RING_SIZE_DEFAULT_MIN (2 * MIB)

/* Targets of a capture, both sets together: some 100 bytes each in the kernel and here, 13 MiB. */
#define TARGETS_MAX 65536u

/* The largest segment of a ring, bytes: one efficient write to a disk. */
#define SEGMENT_SIZE_MAX (1 * MIB)

/* Interfaces that one capture can hold in its life; bounds the counters: 256 bytes each and CPU. */
#define INTERFACES_MAX 1024u

/* Packers at most: beyond it the disk is the limit. */
#define PACKERS_MAX 64u

/* Packers by default at most: four compress 1 GB/s and more. */
#define WORKERS_DEFAULT_MAX 4u

/* Between the statistics blocks of a file, ns. */
#define STATISTICS_INTERVAL_NS 10000000000ull

/* A thread's turn on a CPU that others want too, ns: the kernel's minimum. */
#define SHORT_TURN_NS 100000ull

/* Chunks of one packer: one fills while the other is written. */
#define PACKER_CHUNKS 2u

/* Epochs that wait for one packer: one in work, two next. */
#define PACKER_EPOCHS 3u

/* Bytes of pcapng in one chunk, before compression: large enough that zstd loses under 2 % of its
 * ratio to the cut, small enough that two packers fit the 96 MiB goal. */
#define CHUNK_SIZE (1 * MIB)

/* Room behind CHUNK_SIZE for the record that crosses it: the largest record there is. */
#define CHUNK_SLACK (260 * KIB)

/* zstd's window, log2 of bytes: what the header of a file that is stitched from chunks says.
 * It must be the same for every chunk of a file, and at least the size of a chunk. */
#define ZSTD_WINDOW_LOG 21

/* One staging buffer of a file, bytes: 1 MiB is where direct and buffered writes stop gaining. */
#define FILE_BUFFER_SIZE (1 * MIB)

/* Staging buffers of a file: one fills, two are under way, one returns. */
#define FILE_BUFFERS 4u

#endif
