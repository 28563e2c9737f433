/* SPDX-License-Identifier: MIT */
/* locate.h: finds the payload of a captured frame. */
#ifndef TRAFFIC_LOCATE_H
#define TRAFFIC_LOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct locate_payload {
	const uint8_t *data;
	size_t caplen; /* bytes there; less than @len if the record was cut */
	size_t len;    /* bytes by the headers' account */
};

/** locate_supports() - whether frames of this DLT_ value can be parsed */
bool locate_supports(int link_type);

/**
 * locate_payload() - where a generated stamp would stand
 * @data: @caplen bytes of a frame of @len
 * Return: whether the headers lead to a place that could hold one.
 */
bool locate_payload(int link_type, const uint8_t *data, size_t caplen, size_t len,
		    struct locate_payload *ret);

#endif
