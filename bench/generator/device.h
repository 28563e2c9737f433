/* SPDX-License-Identifier: MIT */
/* device.h: the network interface that frames leave by. */
#ifndef TRAFFIC_DEVICE_H
#define TRAFFIC_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device {
	const char *name;
	int index;
	size_t mtu; /* bytes, without the Ethernet header */
	uint8_t mac[6];
};

/** device_find() - look an interface of this network namespace up; 0, -ENODEV or another -errno */
int device_find(struct device *ret, const char *name);

/** device_frame_max() - the longest frame it takes, in bytes without FCS; one 802.1Q tag comes on
 * top of the MTU */
size_t device_frame_max(const struct device *device, bool tagged);

/** device_open_packet() - a socket that sends whole frames, never receives; @bypass leaves qdisc
 * and tc egress out */
int device_open_packet(const struct device *device, bool bypass);

/** device_sent() - its count of frames transmitted; only the low 32 bits */
int device_sent(const struct device *device, uint32_t *ret);

#endif
