/* SPDX-License-Identifier: MIT */
/*
 * device.c: what the sender must know of an interface, and the packet socket on it.
 *
 * Everything goes through sockets: /sys may show another network namespace than the one this
 * process is in. No state, any thread.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"

#define SEND_BUFFER_SIZE (4 << 20) /* bytes: a batch of jumbo frames with the kernel's overhead */
#define VLAN_TAG_SIZE	 4

int device_find(struct device *ret, const char *name)
{
	struct device device = {.name = name};
	struct ifreq request = {0};
	int r = 0;
	int fd;

	if (strlen(name) >= sizeof(request.ifr_name))
		return -ENODEV;
	memcpy(request.ifr_name, name, strlen(name));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFMTU, &request) < 0) {
		r = -errno;
		goto out;
	}
	device.mtu = (size_t)request.ifr_mtu;
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
		r = -errno;
		goto out;
	}
	memcpy(device.mac, request.ifr_hwaddr.sa_data, sizeof(device.mac));
	device.index = (int)if_nametoindex(name);
	if (device.index == 0) {
		r = -errno;
		goto out;
	}
	*ret = device;
out:
	(void)close(fd);
	return r;
}

size_t device_frame_max(const struct device *device, bool tagged)
{
	return device->mtu + ETHER_HDR_LEN + (tagged ? VLAN_TAG_SIZE : 0);
}

int device_open_packet(const struct device *device, bool bypass)
{
	/* Protocol 0: this socket is never given a frame. */
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = device->index};
	int size = SEND_BUFFER_SIZE;
	int one = 1;
	int fd;
	int r;

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A smaller buffer is only slower. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0) {
		r = -errno;
		goto fail;
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		goto fail;
	}
	return fd;
fail:
	(void)close(fd);
	return r;
}

int device_sent(const struct device *device, uint32_t *ret)
{
	struct ifaddrs *list;
	int r = -ENODEV;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_PACKET || !i->ifa_data ||
		    strcmp(i->ifa_name, device->name) != 0)
			continue;
		*ret = ((const struct rtnl_link_stats *)i->ifa_data)->tx_packets;
		r = 0;
	}
	freeifaddrs(list);
	return r;
}
