/*
 * store/conninfo.h: what a connection string of libpq says, for messages and checks.
 */
#ifndef BALLAST_STORE_CONNINFO_H
#define BALLAST_STORE_CONNINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

/* The value of a keyword ("hostaddr"), with libpq's default where the text does not name it; "" for
 * none. False, with "" in out, where the text cannot be parsed. Cut where it does not fit. */
bool store_conninfo_get(const char *conninfo, const char *keyword, char *out,
                        size_t size) MUST_CHECK;

#endif
