/* SPDX-License-Identifier: MIT */
/* pcap.h: the headers of a classic pcap file with nanosecond time stamps. */
#ifndef RETINA_WRITERS_PCAP_H
#define RETINA_WRITERS_PCAP_H

#include <stdint.h>

#define PCAP_FILE_HEADER_SIZE	24u
#define PCAP_RECORD_HEADER_SIZE 16u

/** pcap_file_header() - magic 0xa1b23c4d, version 2.4, native byte order; snaplen in bytes */
void pcap_file_header(uint8_t out[PCAP_FILE_HEADER_SIZE], uint16_t link_type, uint32_t snaplen);

/** pcap_record_header() - ts_ns since the epoch (seconds are cut to 32 bits); lengths in bytes */
void pcap_record_header(uint8_t out[PCAP_RECORD_HEADER_SIZE], uint64_t ts_ns, uint32_t caplen,
			uint32_t origlen);

#endif
