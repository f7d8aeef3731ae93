/*
 * ops/json.h: one JSON object on one line, as `--json` and reports print it. Every line begins with
 * "schema": 1, so that a reader can tell when its meaning changes. Numbers that may pass 2^53
 * (amounts, balances, versions) are written as text.
 *
 *   struct json json;
 *   json_begin(&json, &out);
 *   json_text(&json, "account", "alice");
 *   json_end(&json);                        {"schema":1,"account":"alice"} and a newline
 */
#ifndef BALLAST_OPS_JSON_H
#define BALLAST_OPS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#define JSON_SCHEMA 1

struct json {
    struct buffer *out; /* appended to */
};

void json_begin(struct json *json, struct buffer *out);
void json_end(struct json *json);

/* NULL is written as null. Bytes that are not UTF-8 become U+FFFD. */
void json_text(struct json *json, const char *name, const char *value);
void json_text_n(struct json *json, const char *name, const char *value, size_t len);
void json_int(struct json *json, const char *name, int64_t value);
void json_bool(struct json *json, const char *name, bool value);
/* With three decimals: seconds and rates. */
void json_real(struct json *json, const char *name, double value);
/* A value that is JSON already; NULL is written as null. */
void json_raw(struct json *json, const char *name, const char *value);

#endif
