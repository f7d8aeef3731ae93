/*
 * server/http.h: the daemon over HTTP, for probes, scrapers and people: /livez, /readyz, /metrics,
 * /status.json and the status page, on the loop of the control thread.
 */
#ifndef BALLAST_SERVER_HTTP_H
#define BALLAST_SERVER_HTTP_H

#include <stddef.h>

#include "base/address.h"
#include "base/attributes.h"

struct http;
struct server;

/* Listens on *address; port 0 becomes the one that the kernel chose. NULL, with a sentence in err:
 * it cannot. */
struct http *http_create(struct server *server, struct address *address, char *err,
                         size_t errlen) MUST_CHECK;

/* NULL does nothing. */
void http_free(struct http *http);

#endif
