/*
 * ops/link_options.h: the settings of links to store and cache, out of the configuration. The
 * texts belong to the configuration; links copy them.
 */
#ifndef BALLAST_OPS_LINK_OPTIONS_H
#define BALLAST_OPS_LINK_OPTIONS_H

#include <stddef.h>

#include "base/attributes.h"
#include "base/config.h"
#include "cache/cache.h"
#include "store/store.h"

struct store_fuses store_fuses_of(const struct config *config);

struct store_options store_options_of(const struct config *config, const char *application_name);

/* address must live until the link has been created. */
struct cache_options cache_options_of(const struct config *config, char address[ADDRESS_TEXT_ROOM]);

/* Whether libpq can read [store] conninfo: 0, or -1 with a sentence in err. */
int store_options_check(const struct config *config, char *err, size_t errlen) MUST_CHECK;

#endif
