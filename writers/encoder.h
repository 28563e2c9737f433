/* SPDX-License-Identifier: MIT */
/* encoder.h: from whole pcapng blocks to the bytes of the file (see encoder.c). */
#ifndef RETINA_WRITERS_ENCODER_H
#define RETINA_WRITERS_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoder;

struct encoder_config {
	bool pcap; /* classic pcap records instead of pcapng blocks; only packets stay */
	bool zstd; /* blocks of the one zstd frame */
};

/** encoder_new() - Return: 0 or -ENOMEM */
int encoder_new(struct encoder **ret, const struct encoder_config *config);
struct encoder *encoder_free(struct encoder *e);

/** encoder_room() - bytes that encoder_encode() needs in `out` for any chunk; may be 0 */
size_t encoder_room(const struct encoder_config *config);

/**
 * encoder_encode() - @level: as compressor_pack() takes it
 * @in: whole pcapng blocks, at most CHUNK_SIZE + CHUNK_SLACK bytes
 * @ret: the result: in itself, or out
 * Return: 0 or -EIO (the compressor failed).
 */
int encoder_encode(struct encoder *e, int level, const uint8_t *in, size_t len, uint8_t *out,
		   const uint8_t **ret, size_t *ret_len);

#endif
