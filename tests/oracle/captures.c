// SPDX-License-Identifier: MIT
/* captures.c: the frames of many capture files in memory. What libpcap cannot read, or whose link
 * type is neither Ethernet nor raw IP, is left out; for raw IP the payload of Ethernet serves, too.
 */
#include "captures.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

/* Of one file: none shall outnumber the others. */
enum { CAPTURE_FRAMES_MAX = 200, ETHERNET_HEADER = 14 };

static void add(struct capture_list *l, const uint8_t *data, uint32_t len)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		struct capture_frame *more = realloc(l->frames, room * sizeof(*more));

		if (!more)
			abort();
		l->frames = more;
		l->room = room;
	}
	l->frames[l->count] = (struct capture_frame){malloc(len + 1), len};
	if (!l->frames[l->count].data)
		abort();
	memcpy(l->frames[l->count++].data, data, len);
}

bool captures_read(struct captures *c, const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline(path, error);
	struct pcap_pkthdr *h;
	const u_char *data;
	unsigned n = 0;

	if (!p)
		return false;
	while (n < CAPTURE_FRAMES_MAX && pcap_next_ex(p, &h, &data) == 1) {
		if (pcap_datalink(p) == DLT_RAW) {
			add(&c->by_framing[1], data, h->caplen);
		} else if (pcap_datalink(p) == DLT_EN10MB) {
			add(&c->by_framing[0], data, h->caplen);
			if (h->caplen > ETHERNET_HEADER && n % 4 == 0)
				add(&c->by_framing[1], data + ETHERNET_HEADER,
				    h->caplen - ETHERNET_HEADER);
		} else {
			break;
		}
		n++;
	}
	pcap_close(p);
	return n > 0;
}

void captures_release(struct captures *c)
{
	for (unsigned i = 0; i < 2; i++) {
		for (size_t k = 0; k < c->by_framing[i].count; k++)
			free(c->by_framing[i].frames[k].data);
		free(c->by_framing[i].frames);
	}
}
