/*
 * cache/info.h: the text of INFO, of Redis and of what answers like it: lines `name:value`, each
 * ended by CR LF, behind a head line.
 */
#ifndef BALLAST_CACHE_INFO_H
#define BALLAST_CACHE_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of `name`. False, with "" in out, where it is missing, empty or does not fit. */
bool cache_info_field(const char *text, size_t len, const char *name, char *out, size_t room);
/* Whether the line `name:value` stands in the text. */
bool cache_info_has(const char *text, size_t len, const char *name, const char *value);
/* The value as a whole number; `otherwise` where there is none. */
int64_t cache_info_number(const char *text, size_t len, const char *name, int64_t otherwise);

#endif
