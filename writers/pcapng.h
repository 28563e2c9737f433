/* SPDX-License-Identifier: MIT */
/* pcapng.h: the blocks of a pcapng file that user space writes, built in memory. */
#ifndef RETINA_WRITERS_PCAPNG_H
#define RETINA_WRITERS_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

/** struct pcapng_block - a block under construction at the end of a buffer; holds no memory */
struct pcapng_block {
	struct buffer *buffer;
	size_t start;	  /* offset of the block in the buffer */
	bool has_options; /* an end-of-options mark is due */
	int error;	  /* the first error; later calls do nothing */
};

/** pcapng_block_open() - begin a block of this type; errors are kept until pcapng_block_close() */
void pcapng_block_open(struct pcapng_block *k, struct buffer *b, uint32_t type);

/** pcapng_block_put() - add bytes as they are; fixed fields and data come before any option */
void pcapng_block_put(struct pcapng_block *k, const void *data, size_t len);

/** pcapng_block_option() - add an option, padded; only its first 65535 bytes are taken */
void pcapng_block_option(struct pcapng_block *k, uint16_t code, const void *data, size_t len);

/** pcapng_block_text() - add a UTF-8 option, cut to 65535 bytes between characters; NULL: none */
void pcapng_block_text(struct pcapng_block *k, uint16_t code, const char *text);

/**
 * pcapng_block_close() - pad, end the options, write both lengths
 * Return: 0, -ENOMEM, or -EFBIG (over 4 GiB); after an error the buffer is as before the open.
 */
int pcapng_block_close(struct pcapng_block *k);

/** struct pcapng_section - who writes the file; each may be NULL: the option is left out */
struct pcapng_section {
	const char *hardware;
	const char *os;
	const char *application;
	const char *comment;
};

/** pcapng_section_header() - append a section header block of unknown length; 0 or -ENOMEM */
int pcapng_section_header(struct buffer *b, const struct pcapng_section *s);

/** struct pcapng_interface - strings may be NULL: the option is left out */
struct pcapng_interface {
	const char *name;
	const char *description;
	const char *filter; /* pcap-filter expression */
	const char *hardware;
	const char *os;
	const char *comment; /* the clock's source is named here */
	uint16_t link_type;
	uint32_t snaplen;   /* bytes, 0 = no limit */
	uint64_t speed_bps; /* 0 = unknown */
	const uint8_t *mac; /* 6 bytes or NULL */
};

/** pcapng_interface_description() - append an interface description block with ns time stamps;
 * 0 or -ENOMEM */
int pcapng_interface_description(struct buffer *b, const struct pcapng_interface *i);

/** struct pcapng_statistics - counters since start_ns; UINT64_MAX leaves a counter out */
struct pcapng_statistics {
	uint32_t interface_id;
	uint64_t now_ns; /* all times: ns since the epoch; 0 leaves start and end out */
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t received;   /* packets the interface received */
	uint64_t dropped;    /* packets the interface dropped */
	uint64_t accepted;   /* packets the filter accepted */
	uint64_t os_dropped; /* packets lost between filter and user space */
	uint64_t delivered;  /* packets that reached the file */
	const char *comment; /* or NULL */
};

/** pcapng_interface_statistics() - append an interface statistics block; 0 or -ENOMEM */
int pcapng_interface_statistics(struct buffer *b, const struct pcapng_statistics *s);

#endif
