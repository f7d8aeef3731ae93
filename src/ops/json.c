/* One JSON object a line. See the header. */
#include "ops/json.h"

#include <string.h>

/* The length of the well-formed UTF-8 character at text, or 0. */
static size_t utf8_length(const unsigned char *text, size_t len)
{
    static const struct {
        unsigned char mask, lead, low, high; /* of the first byte, and bounds of the second */
        size_t length;
    } forms[] = {
        {0x80, 0x00, 0, 0, 1},       {0xE0, 0xC0, 0x80, 0xBF, 2}, {0xFF, 0xE0, 0xA0, 0xBF, 3},
        {0xFF, 0xED, 0x80, 0x9F, 3}, {0xF0, 0xE0, 0x80, 0xBF, 3}, {0xFF, 0xF0, 0x90, 0xBF, 4},
        {0xFF, 0xF4, 0x80, 0x8F, 4}, {0xFC, 0xF0, 0x80, 0xBF, 4},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead) {
            continue;
        }
        if (forms[i].length > len || text[0] == 0xC0 || text[0] == 0xC1) {
            return 0;
        }
        for (size_t k = 1; k < forms[i].length; k++) {
            unsigned char low = k == 1 ? forms[i].low : 0x80, high = k == 1 ? forms[i].high : 0xBF;
            if (text[k] < low || text[k] > high) {
                return 0;
            }
        }
        return forms[i].length;
    }
    return 0;
}

static void write_string(struct buffer *out, const char *value, size_t len)
{
    const unsigned char *text = (const unsigned char *)value;

    buffer_append_byte(out, '"');
    for (size_t i = 0; i < len;) {
        size_t length = utf8_length(text + i, len - i);
        if (length == 0) {
            buffer_append_text(out, "\\ufffd");
            i++;
        } else if (text[i] == '"' || text[i] == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (char)text[i++]);
        } else if (text[i] < 0x20) {
            buffer_printf(out, "\\u%04x", text[i++]);
        } else {
            buffer_append(out, text + i, length);
            i += length;
        }
    }
    buffer_append_byte(out, '"');
}

static void write_name(struct json *json, const char *name)
{
    buffer_append_byte(json->out, ',');
    write_string(json->out, name, strlen(name));
    buffer_append_byte(json->out, ':');
}

void json_begin(struct json *json, struct buffer *out)
{
    json->out = out;
    buffer_printf(out, "{\"schema\":%d", JSON_SCHEMA);
}

void json_end(struct json *json)
{
    buffer_append_text(json->out, "}\n");
}

void json_raw(struct json *json, const char *name, const char *value)
{
    write_name(json, name);
    buffer_append_text(json->out, value != NULL ? value : "null");
}

void json_text_n(struct json *json, const char *name, const char *value, size_t len)
{
    write_name(json, name);
    write_string(json->out, value, len);
}

void json_text(struct json *json, const char *name, const char *value)
{
    if (value == NULL) {
        json_raw(json, name, NULL);
    } else {
        json_text_n(json, name, value, strlen(value));
    }
}

void json_int(struct json *json, const char *name, int64_t value)
{
    write_name(json, name);
    buffer_printf(json->out, "%lld", (long long)value);
}

void json_bool(struct json *json, const char *name, bool value)
{
    json_raw(json, name, value ? "true" : "false");
}

void json_real(struct json *json, const char *name, double value)
{
    write_name(json, name);
    buffer_printf(json->out, "%.3f", value);
}
