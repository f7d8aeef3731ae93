/*
 * store/bare.h: a link that asks nothing of the database beyond being reachable, for `migrate` and
 * `doctor`, which meet databases without the schema, standbys and fsync=off.
 *
 * It goes up as soon as the session's settings are made; store_link_schema_version() is 0. It
 * takes store_query() alone; every other request is STORE_REFUSED by the server, because nothing
 * is prepared. Without parameters store_query() takes several statements in one text, which are
 * one transaction unless they say otherwise; its rows are those of the last.
 */
#ifndef BALLAST_STORE_BARE_H
#define BALLAST_STORE_BARE_H

#include "base/attributes.h"
#include "store/store.h"

struct store_link *store_link_create_bare(struct event_base *base,
                                          const struct store_options *options,
                                          const struct store_hooks *hooks, void *ctx, char *err,
                                          size_t errlen) MUST_CHECK;

#endif
