/* SPDX-License-Identifier: MIT */
/* interface.h: what the kernel says of a network interface (see interface.c). */
#ifndef RETINA_SOURCE_INTERFACE_H
#define RETINA_SOURCE_INTERFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_TYPE_ETHERNET 1
#define LINK_TYPE_RAW	   101
#define LINK_TYPE_NONE	   0xffff /* a kind of link that cannot be recorded */

struct interface {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	uint16_t hardware_type; /* ARPHRD_* */
	uint16_t link_type;	/* LINK_TYPE_* as in pcap files (tcpdump.org/linktypes.html) */
	uint32_t mtu;		/* bytes */
	bool has_mac;
	uint8_t mac[6];
	uint64_t speed_bps; /* 0: not known */
	char driver[32];    /* "" when not known */
	bool is_physical;   /* sits on a bus */
};

/** interface_by_name() - Return: 0, -ENODEV, or the error of socket(2) or ioctl(2) */
int interface_by_name(struct interface *ret, const char *name);

/** interface_by_index() - Return: as interface_by_name() */
int interface_by_index(struct interface *ret, uint32_t ifindex);

/** interface_link_type() - LINK_TYPE_* of an ARPHRD_* type */
uint16_t interface_link_type(uint16_t hardware_type);

/* What decides whether native XDP would change the interface's behaviour. */
struct interface_offloads {
	bool hides_features;  /* the next two could not be read */
	bool has_lro;	      /* large receive offload is on */
	bool has_gro_hw;      /* hardware GRO is on */
	bool has_vlan_parse;  /* the NIC takes VLAN tags out of the frames */
	bool knows_xdp;	      /* the kernel told about XDP (6.3 and later) */
	bool native_xdp;      /* the driver runs XDP programs */
	bool xdp_frags;	      /* ... also on frames of several buffers */
	uint32_t xdp_program; /* id of a program that is attached, 0: none */
};

/** interface_offloads_read() - facts that cannot be read are left false */
void interface_offloads_read(struct interface_offloads *ret, const struct interface *i);

#endif
