// SPDX-License-Identifier: MIT
/*
 * interface.c: asks the kernel about an interface, through ioctl and netlink only: /sys may show
 * another network namespace. Reads, never changes. Any thread.
 */
#include "interface.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/errno.h"

/* linux/netdev.h, newer than Debian 12's headers. */
#define NETDEV_CMD_DEV_GET	  1
#define NETDEV_A_DEV_IFINDEX	  1
#define NETDEV_A_DEV_XDP_FEATURES 3
#define NETDEV_XDP_ACT_BASIC	  (1u << 0)
#define NETDEV_XDP_ACT_RX_SG	  (1u << 5)

/* if_arp.h has these under #ifdef __KERNEL__ or not at all. */
#define HARDWARE_NONE	0xfffe /* ARPHRD_NONE: tun, WireGuard */
#define HARDWARE_RAWIP	519
#define HARDWARE_IP6GRE 823

uint16_t interface_link_type(uint16_t hardware_type)
{
	switch (hardware_type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return LINK_TYPE_ETHERNET;
	case HARDWARE_NONE:
	case HARDWARE_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case HARDWARE_IP6GRE:
		return LINK_TYPE_RAW;
	}
	return LINK_TYPE_NONE;
}

static int ethtool(int fd, const char name[IF_NAMESIZE], void *command)
{
	struct ifreq r = {.ifr_data = command};

	memcpy(r.ifr_name, name, IF_NAMESIZE);
	return neg_errno(ioctl(fd, SIOCETHTOOL, &r));
}

static void speed_read(struct interface *i, int fd)
{
	struct {
		struct ethtool_link_settings s;
		uint32_t masks[3 * 127]; /* three link mode bitmaps, at most 127 words each */
	} link = {.s.cmd = ETHTOOL_GLINKSETTINGS};

	/* The first call answers with the number of mask words it wants, negated. */
	if (ethtool(fd, i->name, &link) || link.s.link_mode_masks_nwords >= 0)
		return;
	link.s.link_mode_masks_nwords = (int8_t)-link.s.link_mode_masks_nwords;
	link.s.cmd = ETHTOOL_GLINKSETTINGS;
	if (ethtool(fd, i->name, &link))
		return;
	if (link.s.speed != 0 && link.s.speed != (uint32_t)SPEED_UNKNOWN)
		i->speed_bps = (uint64_t)link.s.speed * 1000000;
}

static void driver_read(struct interface *i, int fd)
{
	struct ethtool_drvinfo d = {.cmd = ETHTOOL_GDRVINFO};

	if (ethtool(fd, i->name, &d))
		return;
	memcpy(i->driver, d.driver, sizeof(i->driver));
	i->driver[sizeof(i->driver) - 1] = 0;
	/* Drivers of virtual devices name no bus, or something that is no address on one. */
	i->is_physical = strchr(d.bus_info, ':') || strncmp(d.bus_info, "virtio", 6) == 0;
}

static int interface_read(struct interface *ret, int fd, struct ifreq *r)
{
	struct interface i = {0};
	int e;

	memcpy(i.name, r->ifr_name, IF_NAMESIZE);
	e = neg_errno(ioctl(fd, SIOCGIFINDEX, r));
	if (e < 0)
		return e;
	i.ifindex = (uint32_t)r->ifr_ifindex;
	e = neg_errno(ioctl(fd, SIOCGIFHWADDR, r));
	if (e < 0)
		return e;
	i.hardware_type = r->ifr_hwaddr.sa_family;
	i.link_type = interface_link_type(i.hardware_type);
	if (i.hardware_type == ARPHRD_ETHER) {
		i.has_mac = true;
		memcpy(i.mac, r->ifr_hwaddr.sa_data, sizeof(i.mac));
	}
	e = neg_errno(ioctl(fd, SIOCGIFMTU, r));
	if (e < 0)
		return e;
	i.mtu = (uint32_t)r->ifr_mtu;
	speed_read(&i, fd);
	driver_read(&i, fd);
	*ret = i;
	return 0;
}

int interface_by_name(struct interface *ret, const char *name)
{
	struct ifreq r = {0};
	int fd, e;

	if (strlen(name) >= IF_NAMESIZE)
		return -ENODEV;
	memcpy(r.ifr_name, name, strlen(name));
	fd = neg_errno(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return fd;
	e = interface_read(ret, fd, &r);
	close(fd);
	return e;
}

int interface_by_index(struct interface *ret, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	return interface_by_name(ret, name);
}

/* One string set of an interface: the names of its features, in the order of their bits. */
static struct ethtool_gstrings *feature_names(int fd, const char *name)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} set = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
	struct ethtool_gstrings *names;

	if (ethtool(fd, name, &set) || !set.info.sset_mask)
		return NULL;
	names = calloc(1, sizeof(*names) + (size_t)set.count * ETH_GSTRING_LEN);
	if (!names)
		return NULL;
	*names = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = set.count};
	if (ethtool(fd, name, names)) {
		free(names);
		return NULL;
	}
	return names;
}

static bool feature_is_active(const struct ethtool_gfeatures *f, uint32_t bit)
{
	return f->features[bit / 32].active & (1u << bit % 32);
}

/* false: they could not be read. */
static bool features_read(struct interface_offloads *o, int fd, const char *name)
{
	struct ethtool_gstrings *names = feature_names(fd, name);
	struct ethtool_gfeatures *f;
	bool is_read = false;
	uint32_t words;

	if (!names)
		return false;
	words = (names->len + 31) / 32;
	f = calloc(1, sizeof(*f) + words * sizeof(f->features[0]));
	if (f) {
		*f = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = words};
		is_read = ethtool(fd, name, f) == 0;
		if (is_read) {
			for (uint32_t bit = 0; bit < names->len; bit++) {
				const char *n = (const char *)names->data + bit * ETH_GSTRING_LEN;

				if (strcmp(n, "rx-lro") == 0)
					o->has_lro = feature_is_active(f, bit);
				else if (strcmp(n, "rx-gro-hw") == 0)
					o->has_gro_hw = feature_is_active(f, bit);
				else if (strcmp(n, "rx-vlan-hw-parse") == 0 ||
					 strcmp(n, "rx-vlan-stag-hw-parse") == 0)
					o->has_vlan_parse |= feature_is_active(f, bit);
			}
		}
		free(f);
	}
	free(names);
	return is_read;
}

/* One request to a generic netlink family and its answer. */
static int genl_ask(struct mnl_socket *s, struct nlmsghdr *request, mnl_cb_t answer, void *data)
{
	char buffer[8192];
	ssize_t n;
	int r;

	r = neg_errno((int)mnl_socket_sendto(s, request, request->nlmsg_len));
	if (r < 0)
		return r;
	do {
		n = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buffer, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s),
			       answer, data);
	} while (r > MNL_CB_STOP);
	return neg_errno(r);
}

static struct nlmsghdr *genl_request(char *buffer, uint16_t family, uint8_t command)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *g;

	n->nlmsg_type = family;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	n->nlmsg_seq = family;
	g = mnl_nlmsg_put_extra_header(n, sizeof(*g));
	g->cmd = command;
	g->version = 1;
	return n;
}

static int family_answer(const struct nlmsghdr *n, void *data)
{
	struct nlattr *a;

	mnl_attr_for_each(a, n, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			*(uint16_t *)data = mnl_attr_get_u16(a);
	}
	return MNL_CB_OK;
}

static int device_answer(const struct nlmsghdr *n, void *data)
{
	struct interface_offloads *o = data;
	struct nlattr *a;

	mnl_attr_for_each(a, n, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(a) == NETDEV_A_DEV_XDP_FEATURES) {
			uint64_t bits = mnl_attr_get_u64(a);

			o->knows_xdp = true;
			o->native_xdp = bits & NETDEV_XDP_ACT_BASIC;
			o->xdp_frags = bits & NETDEV_XDP_ACT_RX_SG;
		}
	}
	return MNL_CB_OK;
}

/* Documentation/netlink/specs/netdev.yaml, dev-get. */
static void xdp_features_read(struct interface_offloads *o, uint32_t ifindex)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	char buffer[256];
	struct nlmsghdr *n;
	uint16_t family = 0;

	if (!s)
		return;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0)
		goto done;
	n = genl_request(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(n, CTRL_ATTR_FAMILY_NAME, "netdev");
	if (genl_ask(s, n, family_answer, &family) < 0 || !family)
		goto done;
	n = genl_request(buffer, family, NETDEV_CMD_DEV_GET);
	mnl_attr_put_u32(n, NETDEV_A_DEV_IFINDEX, ifindex);
	(void)genl_ask(s, n, device_answer, o);
done:
	mnl_socket_close(s);
}

void interface_offloads_read(struct interface_offloads *ret, const struct interface *i)
{
	struct interface_offloads o = {.hides_features = true};
	LIBBPF_OPTS(bpf_xdp_query_opts, xdp);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		o.hides_features = !features_read(&o, fd, i->name);
		close(fd);
	}
	xdp_features_read(&o, i->ifindex);
	if (bpf_xdp_query((int)i->ifindex, 0, &xdp) == 0)
		o.xdp_program = xdp.drv_prog_id	  ? xdp.drv_prog_id
				: xdp.skb_prog_id ? xdp.skb_prog_id
						  : xdp.hw_prog_id;
	*ret = o;
}
