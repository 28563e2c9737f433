// SPDX-License-Identifier: MIT
/* test-hook.c: XDP is chosen only where no fact speaks against it. */
#include "hook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Everything that the choice may look at, one bit each; a set bit speaks against XDP. */
enum {
	NO_XDP = 1,
	NOT_ETHERNET = 1 << 1,
	VETH = 1 << 2,
	VIRTUAL = 1 << 3,
	UNKNOWN = 1 << 4,
	NOT_NATIVE = 1 << 5,
	FOREIGN = 1 << 6,
	LRO = 1 << 7,
	GRO_HW = 1 << 8,
	LARGE_MTU = 1 << 9, /* objects only together with NO_FRAGS */
	NO_FRAGS = 1 << 10,
	FACTS = 1 << 11,
};

static struct hook_choice choose(enum hook wanted, unsigned facts, bool has_tcx)
{
	struct interface i = {
		.link_type = facts & NOT_ETHERNET ? LINK_TYPE_RAW : LINK_TYPE_ETHERNET,
		.mtu = facts & LARGE_MTU ? 9000 : 1500,
		.is_physical = !(facts & VIRTUAL),
	};
	struct interface_offloads o = {
		.has_lro = facts & LRO,
		.has_gro_hw = facts & GRO_HW,
		.knows_xdp = !(facts & UNKNOWN),
		.native_xdp = !(facts & NOT_NATIVE),
		.xdp_frags = !(facts & NO_FRAGS),
		.xdp_program = facts & FOREIGN ? 42 : 0,
	};

	strcpy(i.driver, facts & VETH ? "veth" : "ice");
	return hook_choose(wanted, &i, &o, has_tcx, !(facts & NO_XDP));
}

static void automatic_is_xdp_only_if_nothing_objects(void **state)
{
	(void)state;
	for (unsigned facts = 0; facts < FACTS; facts++)
		for (int has_tcx = 0; has_tcx < 2; has_tcx++) {
			struct hook_choice c = choose(HOOK_AUTO, facts, has_tcx);
			bool objection = facts & ~(unsigned)(LARGE_MTU | NO_FRAGS) ||
					 (facts & LARGE_MTU && facts & NO_FRAGS);
			enum hook tc = has_tcx ? HOOK_TCX : HOOK_CLSACT;

			assert_int_equal(c.ingress, objection ? tc : HOOK_XDP);
			assert_int_equal(c.egress, tc);
			assert_non_null(c.reason);
			assert_true(*c.reason);
		}
}

static void each_objection_has_a_reason_of_its_own(void **state)
{
	const char *reasons[12];
	unsigned n = 0;

	(void)state;
	reasons[n++] = choose(HOOK_AUTO, 0, true).reason;
	for (unsigned bit = 1; bit < LARGE_MTU; bit <<= 1)
		reasons[n++] = choose(HOOK_AUTO, bit, true).reason;
	reasons[n++] = choose(HOOK_AUTO, LARGE_MTU | NO_FRAGS, true).reason;
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(reasons[i], reasons[j]);
}

static void what_was_asked_for_is_taken(void **state)
{
	(void)state;
	for (unsigned facts = 0; facts < FACTS; facts++)
		for (int has_tcx = 0; has_tcx < 2; has_tcx++) {
			struct hook_choice c = choose(HOOK_XDP, facts, has_tcx);

			assert_int_equal(c.ingress, HOOK_XDP);
			assert_int_equal(c.egress, has_tcx ? HOOK_TCX : HOOK_CLSACT);
			c = choose(HOOK_TCX, facts, has_tcx);
			assert_int_equal(c.ingress, HOOK_TCX);
			assert_int_equal(c.egress, HOOK_TCX);
			c = choose(HOOK_CLSACT, facts, has_tcx);
			assert_int_equal(c.ingress, HOOK_CLSACT);
			assert_int_equal(c.egress, HOOK_CLSACT);
			assert_string_equal(c.reason, "asked for");
		}
}

static void the_mtu_counts_from_one_page_on(void **state)
{
	struct interface i = {.link_type = LINK_TYPE_ETHERNET, .is_physical = true};
	struct interface_offloads o = {.knows_xdp = true, .native_xdp = true};

	(void)state;
	i.mtu = 3498;
	assert_int_equal(hook_choose(HOOK_AUTO, &i, &o, true, true).ingress, HOOK_XDP);
	i.mtu = 3499;
	assert_int_equal(hook_choose(HOOK_AUTO, &i, &o, true, true).ingress, HOOK_TCX);
	o.xdp_frags = true;
	i.mtu = 65536;
	assert_int_equal(hook_choose(HOOK_AUTO, &i, &o, true, true).ingress, HOOK_XDP);
}

static void every_hook_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(hook_name(HOOK_XDP), "xdp");
	assert_string_equal(hook_name(HOOK_TCX), "tcx");
	assert_string_equal(hook_name(HOOK_CLSACT), "clsact");
	assert_string_equal(hook_name(HOOK_AUTO), "auto");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(automatic_is_xdp_only_if_nothing_objects),
		cmocka_unit_test(each_objection_has_a_reason_of_its_own),
		cmocka_unit_test(what_was_asked_for_is_taken),
		cmocka_unit_test(the_mtu_counts_from_one_page_on),
		cmocka_unit_test(every_hook_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
