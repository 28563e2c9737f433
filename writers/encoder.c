// SPDX-License-Identifier: MIT
/*
 * encoder.c: what happens to merged blocks before they reach the file: conversion to classic pcap,
 * compression, both or nothing. Each packer owns one, the writer another for the last cut.
 *
 * Invariant: the results of any number of encoders, one behind the other, are one valid stream.
 */
#include "encoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "base/record.h"
#include "compressor.h"
#include "pcap.h"

struct encoder {
	struct encoder_config config;
	struct compressor *compressor; /* with zstd */
	uint8_t *scratch;	       /* with zstd and pcap: the records before compression */
};

int encoder_new(struct encoder **ret, const struct encoder_config *config)
{
	struct encoder *e = calloc(1, sizeof(*e));
	int r = -ENOMEM;

	if (!e)
		return r;
	e->config = *config;
	if (config->zstd) {
		r = compressor_new(&e->compressor);
		if (r < 0)
			goto fail;
	}
	if (config->zstd && config->pcap) {
		r = -ENOMEM;
		e->scratch = malloc(CHUNK_SIZE + CHUNK_SLACK);
		if (!e->scratch)
			goto fail;
	}
	*ret = e;
	return 0;
fail:
	encoder_free(e);
	return r;
}

struct encoder *encoder_free(struct encoder *e)
{
	if (!e)
		return NULL;
	compressor_free(e->compressor);
	free(e->scratch);
	free(e);
	return NULL;
}

size_t encoder_room(const struct encoder_config *config)
{
	if (config->zstd)
		return compressor_bound(CHUNK_SIZE + CHUNK_SLACK);
	return config->pcap ? CHUNK_SIZE + CHUNK_SLACK : 0;
}

/* A pcap record is shorter than the block that it comes from. */
static size_t to_pcap(uint8_t *out, const uint8_t *in, size_t len)
{
	uint8_t *at = out;

	for (size_t i = 0; i < len; i += record_len(in + i)) {
		const uint8_t *r = in + i;

		if (!record_is_packet(r))
			continue;
		pcap_record_header(at, record_ns(r), record_caplen(r), record_origlen(r));
		memcpy(at + PCAP_RECORD_HEADER_SIZE, r + RECORD_HEADER, record_caplen(r));
		at += PCAP_RECORD_HEADER_SIZE + record_caplen(r);
	}
	return (size_t)(at - out);
}

int encoder_encode(struct encoder *e, int level, const uint8_t *in, size_t len, uint8_t *out,
		   const uint8_t **ret, size_t *ret_len)
{
	if (e->config.pcap) {
		uint8_t *records = e->scratch ? e->scratch : out;

		len = to_pcap(records, in, len);
		in = records;
	}
	*ret = in;
	*ret_len = len;
	if (!e->config.zstd || !len)
		return 0;
	*ret = out;
	return compressor_pack(e->compressor, level, in, len, out, encoder_room(&e->config),
			       ret_len);
}
