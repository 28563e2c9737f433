// SPDX-License-Identifier: MIT
/*
 * control_server.c: the control socket of a capture: HTTP/1.1 with JSON (docs/api.md), by
 * libmicrohttpd on one thread of its own. The capture is steered through the public API only, which
 * any thread may call. A module of its own: most captures are never steered, and its libraries take
 * memory.
 *
 * Only root and the user who runs the capture are served. What comes in is bounded: BODY_MAX bytes,
 * CONNECTIONS_MAX connections, each IDLE_S seconds.
 */
#include "control_server.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY_MAX = 4 << 20, CONNECTIONS_MAX = 32, IDLE_S = 10 };

struct control_server {
	struct retina_capture *capture;
	struct MHD_Daemon *daemon;
};

/* One request, from its first line to its answer. */
struct request {
	char *body;
	size_t len;
	bool is_too_long;
};

/* --- answers --- */

/* Takes the JSON over. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	struct MHD_Response *response;
	enum MHD_Result r;

	json_decref(json);
	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, PUT, POST");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	json_t *text = json_string(why);

	return answer(connection, status,
		      json_pack("{s:o}", "error", text ? text : json_string("bad request")));
}

static unsigned status_of(int error)
{
	switch (error) {
	case -EINVAL:
		return MHD_HTTP_BAD_REQUEST;
	case -ENOENT:
		return MHD_HTTP_NOT_FOUND;
	case -ESHUTDOWN:
		return MHD_HTTP_GONE;
	case -ENOSPC:
		return MHD_HTTP_CONTENT_TOO_LARGE;
	}
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

/* --- resources --- */

static enum MHD_Result get_filter(struct control_server *k, struct MHD_Connection *connection)
{
	char *expression = retina_capture_filter(k->capture);
	json_t *text = expression ? json_string(expression) : NULL;

	free(expression);
	if (!text)
		return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
	return answer(connection, MHD_HTTP_OK, json_pack("{s:o}", "expression", text));
}

static enum MHD_Result put_filter(struct control_server *k, struct MHD_Connection *connection,
				  json_t *body)
{
	char error[RETINA_MESSAGE_MAX];
	const char *expression;
	int r;

	if (json_unpack_ex(body, NULL, JSON_STRICT, "{s:s}", "expression", &expression) < 0)
		return refuse(connection, MHD_HTTP_BAD_REQUEST, "wanted: {\"expression\": TEXT}");
	r = retina_capture_set_filter(k->capture, expression, error);
	if (r < 0)
		return refuse(connection, status_of(r), error);
	return get_filter(k, connection);
}

static bool append_target(void *data, const char *target)
{
	return json_array_append_new(data, json_string(target)) == 0;
}

static enum MHD_Result get_targets(struct control_server *k, struct MHD_Connection *connection)
{
	json_t *include = json_array(), *exclude = json_array();

	retina_capture_list_targets(k->capture, RETINA_INCLUDE, append_target, include);
	retina_capture_list_targets(k->capture, RETINA_EXCLUDE, append_target, exclude);
	return answer(connection, MHD_HTTP_OK,
		      json_pack("{s:o, s:o}", "include", include, "exclude", exclude));
}

/* Files are read by who asks, with the rights of who asks: no @FILE here. The array is for free();
 * its strings are the JSON's. */
static const char **targets_of(const json_t *list)
{
	size_t count = json_array_size(list);
	const char **texts = calloc(count + 1, sizeof(*texts));

	for (size_t i = 0; texts && i < count; i++) {
		texts[i] = json_string_value(json_array_get(list, i));
		if (!texts[i] || *texts[i] == '@') {
			free(texts);
			return NULL;
		}
	}
	return texts;
}

static enum MHD_Result post_targets(struct control_server *k, struct MHD_Connection *connection,
				    json_t *body)
{
	static const char wanted[] =
		"wanted: {\"set\": \"include\" or \"exclude\", \"add\" or \"remove\": [TARGET...]}";
	json_t *add = NULL, *remove = NULL, *list;
	char error[RETINA_MESSAGE_MAX];
	enum retina_target_set which;
	const char *set, **texts;
	int r;

	if (json_unpack_ex(body, NULL, JSON_STRICT, "{s:s, s?o, s?o}", "set", &set, "add", &add,
			   "remove", &remove) < 0 ||
	    !add == !remove)
		return refuse(connection, MHD_HTTP_BAD_REQUEST, wanted);
	list = add ? add : remove;
	if (!json_is_array(list) || (strcmp(set, "include") != 0 && strcmp(set, "exclude") != 0))
		return refuse(connection, MHD_HTTP_BAD_REQUEST, wanted);
	which = *set == 'i' ? RETINA_INCLUDE : RETINA_EXCLUDE;
	texts = targets_of(list);
	if (!texts)
		return refuse(connection, MHD_HTTP_BAD_REQUEST,
			      "a target is IP[/LEN][:PORT], [IPv6][/LEN]:PORT or *:PORT");
	r = (add ? retina_capture_add_targets : retina_capture_remove_targets)(
		k->capture, which, texts, (unsigned)json_array_size(list), error);
	free(texts);
	if (r < 0)
		return refuse(connection, status_of(r), error);
	return answer(connection, MHD_HTTP_OK, json_pack("{s:i}", "changed", r));
}

static const struct resource {
	const char *path, *method;
	enum MHD_Result (*get)(struct control_server *k, struct MHD_Connection *connection);
	enum MHD_Result (*change)(struct control_server *k, struct MHD_Connection *connection,
				  json_t *body);
} resources[] = {
	{"/v1/filter", MHD_HTTP_METHOD_GET, get_filter, NULL},
	{"/v1/filter", MHD_HTTP_METHOD_PUT, NULL, put_filter},
	{"/v1/targets", MHD_HTTP_METHOD_GET, get_targets, NULL},
	{"/v1/targets", MHD_HTTP_METHOD_POST, NULL, post_targets},
};

static enum MHD_Result change(struct control_server *k, struct MHD_Connection *connection,
			      const struct resource *resource, const struct request *request)
{
	json_t *body = json_loadb(request->body ? request->body : "", request->len,
				  JSON_REJECT_DUPLICATES, NULL);
	enum MHD_Result r;

	if (!json_is_object(body))
		r = refuse(connection, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
	else
		r = resource->change(k, connection, body);
	json_decref(body);
	return r;
}

static enum MHD_Result serve(struct control_server *k, struct MHD_Connection *connection,
			     const char *path, const char *method, const struct request *request)
{
	bool is_known = false;

	if (request->is_too_long)
		return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		const struct resource *r = &resources[i];

		if (strcmp(path, r->path) != 0)
			continue;
		is_known = true;
		if (strcmp(method, r->method) != 0)
			continue;
		return r->get ? r->get(k, connection) : change(k, connection, r, request);
	}
	return is_known ? refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "no such method here")
			: refuse(connection, MHD_HTTP_NOT_FOUND, "no such resource");
}

/* --- requests --- */

static bool is_allowed(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == getuid());
}

/* What is too long is read to its end, and dropped: the answer can be sent then. */
static enum MHD_Result take_body(struct request *request, const char *data, size_t len)
{
	char *more;

	if (request->is_too_long || request->len + len > BODY_MAX) {
		request->is_too_long = true;
		return MHD_YES;
	}
	more = realloc(request->body, request->len + len);
	if (!more)
		return MHD_NO;
	memcpy(more + request->len, data, len);
	request->body = more;
	request->len += len;
	return MHD_YES;
}

/* Called at a request's head, for each part of its body, and at its end. */
static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_len, void **state)
{
	struct request *request = *state;

	(void)version;
	if (!request) {
		if (!is_allowed(connection))
			return refuse(connection, MHD_HTTP_FORBIDDEN,
				      "root and the user of the capture only");
		*state = calloc(1, sizeof(*request));
		return *state ? MHD_YES : MHD_NO;
	}
	if (*upload_len) {
		size_t len = *upload_len;

		*upload_len = 0;
		return take_body(request, upload, len);
	}
	return serve(data, connection, path, method, request);
}

static void completed(void *data, struct MHD_Connection *connection, void **state,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *state;

	(void)data;
	(void)connection;
	(void)code;
	if (!request)
		return;
	free(request->body);
	free(request);
	*state = NULL;
}

struct control_server *control_server_start(struct retina_capture *c, int fd)
{
	struct control_server *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->capture = c;
	k->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
				     handle, k, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
				     MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	if (k->daemon)
		return k;
	free(k);
	return NULL;
}

void control_server_stop(struct control_server *k)
{
	MHD_stop_daemon(k->daemon);
	free(k);
}
