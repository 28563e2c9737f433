// SPDX-License-Identifier: MIT
/* client.c: requests to a running capture, by libcurl. */
#include "client.h"

#include <curl/curl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "control.h"
#include "options.h"

/* Setting a filter of 4096 instructions takes the verifier less than this. */
enum { TIMEOUT_S = 60 };

struct reply {
	char *text;
	size_t len;
};

static size_t take(char *data, size_t size, size_t count, void *to)
{
	struct reply *r = to;
	size_t len = size * count;
	char *more = realloc(r->text, r->len + len);

	if (!more)
		return 0;
	memcpy(more + r->len, data, len);
	r->text = more;
	r->len += len;
	return len;
}

/* What could have been meant. */
static void list_captures(void)
{
	DIR *d = opendir(CONTROL_DIRECTORY);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if (len > 5 && strcmp(e->d_name + len - 5, ".sock") == 0)
			(void)fprintf(stderr, "  running: %.*s\n", (int)len - 5, e->d_name);
	}
	if (d)
		(void)closedir(d);
}

static void explain(const char *name, const char *socket, CURLcode code)
{
	if (access(socket, F_OK) < 0) {
		(void)usage_error("%s: no such capture (%s)", name, socket);
		list_captures();
	} else if (access(socket, W_OK) < 0) {
		(void)usage_error("%s: it is another user's capture: try it as root", name);
	} else if (code == CURLE_COULDNT_CONNECT) {
		(void)usage_error("%s: its capture has ended without a word (%s)", name, socket);
	} else {
		(void)usage_error("%s: %s", name, curl_easy_strerror(code));
	}
}

static json_t *read_reply(const char *name, const struct reply *r, long status)
{
	json_t *json = json_loadb(r->text ? r->text : "", r->len, JSON_REJECT_DUPLICATES, NULL);
	const char *error = json_string_value(json_object_get(json, "error"));

	if (json && status == 200)
		return json;
	(void)usage_error("%s", error ? error : "the capture's answer makes no sense");
	if (!error)
		(void)fprintf(stderr, "  %s: HTTP status %ld\n", name, status);
	json_decref(json);
	return NULL;
}

json_t *client_call(const char *name, const char *method, const char *path, json_t *body)
{
	char socket[108], url[128], *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *curl = curl_easy_init();
	struct reply r = {0};
	json_t *json = NULL;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;

	control_path(socket, sizeof(socket), name);
	(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	if (curl && headers && (text || !body)) {
		(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
		(void)curl_easy_setopt(curl, CURLOPT_URL, url);
		(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
		(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
		(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
		(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
		(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		if (text)
			(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
		code = curl_easy_perform(curl);
		(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	}
	if (code == CURLE_OK)
		json = read_reply(name, &r, status);
	else
		explain(name, socket, code);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	json_decref(body);
	free(text);
	free(r.text);
	return json;
}
