/* SPDX-License-Identifier: MIT */
/*
 * pcap.c: the two headers of the classic pcap format, in native byte order. Pure functions into the
 * caller's bytes: any thread. Invariant: the magic says nanoseconds, so every record is in them.
 */
#include "pcap.h"

#include <string.h>

#define MAGIC_NS   0xa1b23c4du
#define NS_PER_SEC 1000000000ull

void pcap_file_header(uint8_t out[PCAP_FILE_HEADER_SIZE], uint16_t link_type, uint32_t snaplen)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		int32_t zone;	  /* always UTC */
		uint32_t sigfigs; /* never used by anyone */
		uint32_t snaplen;
		uint32_t link_type;
	} header = {MAGIC_NS, 2, 4, 0, 0, snaplen, link_type};

	_Static_assert(sizeof(header) == PCAP_FILE_HEADER_SIZE, "the format has no padding");
	memcpy(out, &header, sizeof(header));
}

void pcap_record_header(uint8_t out[PCAP_RECORD_HEADER_SIZE], uint64_t ts_ns, uint32_t caplen,
			uint32_t origlen)
{
	const uint32_t header[] = {ts_ns / NS_PER_SEC, ts_ns % NS_PER_SEC, caplen, origlen};

	_Static_assert(sizeof(header) == PCAP_RECORD_HEADER_SIZE, "the format has no padding");
	memcpy(out, header, sizeof(header));
}
