#include "cache/info.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

/* What stands behind "\nname:", up to the end of the text; NULL where the name does not stand. */
static const char *find_field(const char *text, size_t len, const char *name)
{
    char line[40];
    int line_len = snprintf(line, sizeof(line), "\n%s:", name);
    const char *found;

    assert(line_len > 0 && (size_t)line_len < sizeof(line));
    found = memmem(text, len, line, (size_t)line_len);
    return found != NULL ? found + line_len : NULL;
}

bool cache_info_field(const char *text, size_t len, const char *name, char *out, size_t room)
{
    const char *value = find_field(text, len, name);
    const char *stop;

    out[0] = '\0';
    if (value == NULL) {
        return false;
    }
    stop = memchr(value, '\r', (size_t)(text + len - value));
    if (stop == NULL || stop == value || (size_t)(stop - value) >= room) {
        return false;
    }
    memcpy(out, value, (size_t)(stop - value));
    out[stop - value] = '\0';
    return true;
}

bool cache_info_has(const char *text, size_t len, const char *name, const char *value)
{
    char found[64];

    return cache_info_field(text, len, name, found, sizeof(found)) && strcmp(found, value) == 0;
}

int64_t cache_info_number(const char *text, size_t len, const char *name, int64_t otherwise)
{
    char found[DECIMAL_ROOM + 1];
    int64_t value;

    return cache_info_field(text, len, name, found, sizeof(found)) &&
                   decimal_parse_int64(found, strlen(found), &value) == DECIMAL_OK
               ? value
               : otherwise;
}
