// SPDX-License-Identifier: MIT
/*
 * packet_file.c: packets of a file: libarchive takes off whatever compression there is, libpcap
 * reads pcap and pcapng. Owned by one thread.
 */
#include "packet_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include "options.h"

enum { READ_SIZE = 1 << 16, LINKTYPE_RAW_IP = 101, LINKTYPE_IP4 = 228, LINKTYPE_IP6 = 229 };

struct packet_file {
	const char *path;
	struct archive *archive;
	pcap_t *pcap;
	unsigned long long count;
};

static ssize_t read_plain(void *cookie, char *to, size_t size)
{
	struct packet_file *f = cookie;
	la_ssize_t n = archive_read_data(f->archive, to, size);

	return n < 0 ? -1 : n;
}

static bool open_archive(struct packet_file *f)
{
	struct archive_entry *entry;

	f->archive = archive_read_new();
	if (!f->archive)
		return usage_error("out of memory");
	(void)archive_read_support_filter_all(f->archive);
	(void)archive_read_support_format_raw(f->archive);
	(void)archive_read_support_format_empty(f->archive);
	if (archive_read_open_filename(f->archive, f->path, READ_SIZE) != ARCHIVE_OK ||
	    archive_read_next_header(f->archive, &entry) != ARCHIVE_OK)
		return usage_error("%s: %s", f->path, archive_error_string(f->archive));
	return true;
}

static bool open_pcap(struct packet_file *f)
{
	char error[PCAP_ERRBUF_SIZE];
	FILE *plain = fopencookie(f, "r", (cookie_io_functions_t){.read = read_plain});

	if (!plain)
		return usage_error("out of memory");
	f->pcap = pcap_fopen_offline(plain, error);
	if (f->pcap)
		return true; /* it closes the stream */
	(void)fclose(plain);
	return usage_error("%s: %s", f->path, error);
}

struct packet_file *packet_file_open(const char *path)
{
	struct packet_file *f = calloc(1, sizeof(*f));

	if (!f) {
		(void)usage_error("out of memory");
		return NULL;
	}
	f->path = path;
	if (open_archive(f) && open_pcap(f))
		return f;
	return packet_file_close(f);
}

int packet_file_link_type(const struct packet_file *f)
{
	int type = pcap_datalink(f->pcap);

	if (type == DLT_RAW || type == LINKTYPE_IP4 || type == LINKTYPE_IP6)
		return LINKTYPE_RAW_IP;
	return type;
}

int packet_file_next(struct packet_file *f, struct packet *ret)
{
	struct pcap_pkthdr *h;
	const u_char *data;
	int r = pcap_next_ex(f->pcap, &h, &data);

	if (r == PCAP_ERROR_BREAK)
		return 0;
	if (r < 0) {
		(void)usage_error("%s: behind packet %llu: %s", f->path, f->count,
				  archive_errno(f->archive) ? archive_error_string(f->archive)
							    : pcap_geterr(f->pcap));
		return -1;
	}
	f->count++;
	*ret = (struct packet){.data = data, .caplen = h->caplen, .len = h->len};
	return 1;
}

struct packet_file *packet_file_close(struct packet_file *f)
{
	if (!f)
		return NULL;
	if (f->pcap)
		pcap_close(f->pcap);
	if (f->archive)
		(void)archive_read_free(f->archive);
	free(f);
	return NULL;
}
