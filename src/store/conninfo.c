#include "store/conninfo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

static const char *value_in(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0) {
            return option->val;
        }
    }
    return NULL;
}

bool store_conninfo_get(const char *conninfo, const char *keyword, char *out, size_t size)
{
    PQconninfoOption *given = PQconninfoParse(conninfo, NULL), *defaults;
    bool parsed = given != NULL;
    const char *value = parsed ? value_in(given, keyword) : NULL;

    snprintf(out, size, "%s", value != NULL ? value : "");
    if (parsed && value == NULL && (defaults = PQconndefaults()) != NULL) {
        value = value_in(defaults, keyword);
        snprintf(out, size, "%s", value != NULL ? value : "");
        PQconninfoFree(defaults);
    }
    PQconninfoFree(given);
    return parsed;
}
