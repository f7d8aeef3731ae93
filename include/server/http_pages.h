/*
 * server/http_pages.h (private to the control thread): what the daemon shows over HTTP. Each
 * appends its text to *out.
 */
#ifndef BALLAST_SERVER_HTTP_PAGES_H
#define BALLAST_SERVER_HTTP_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "store/store.h"

struct server;

/* What can be served now. */
struct ability {
    const char *name;
    bool ok;
    char why[STORE_TEXT_MAX]; /* "" when ok */
    int64_t since_us;         /* when it failed: clock_boot_us() */
    const char *action;       /* what the daemon does about it; a constant */
};

struct readiness {
    bool ready; /* reads from the store and posts to it: without a cache everything is right, only
                   slower; while the store takes no writes, those who read must not be sent away */
    struct ability reads, writes, cache;
};

void server_readiness(struct server *server, struct readiness *readiness);

void page_metrics(struct server *server, struct buffer *out);     /* Prometheus, 0.0.4 */
void page_status_json(struct server *server, struct buffer *out); /* one object, one line */
void page_status_html(struct server *server, struct buffer *out);

/* Keeps the status page fresh where there is JavaScript. */
extern const char page_status_script[];

#endif
