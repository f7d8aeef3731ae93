#include "base/config_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_CONST_FIELD(config, option, type)                                                   \
    ((const type *)(const void *)((const char *)(config) + (option)->offset))

/* ------------------------------------------------------------------------ comparing, moving -- */

static size_t config_field_size(const struct config_option *option)
{
    switch (option->type) {
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_MODE:
    case CONFIG_WORD:
        return sizeof(int64_t);
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_STRING:
        return sizeof(char *);
    case CONFIG_ADDRESS:
        return sizeof(struct address);
    case CONFIG_ADDRESSES:
        return sizeof(struct config_addresses);
    case CONFIG_USERS:
        return sizeof(struct config_users);
    }
    abort();
}

static bool config_addresses_equal(const struct config_addresses *a,
                                   const struct config_addresses *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!address_equal(&a->items[i], &b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool config_users_equal(const struct config_users *a, const struct config_users *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
            a->items[i].role != b->items[i].role ||
            strcmp(a->items[i].password_file, b->items[i].password_file) != 0) {
            return false;
        }
    }
    return true;
}

bool config_value_equal(const struct config *a, const struct config *b,
                        const struct config_option *option)
{
    switch (option->type) {
    case CONFIG_STRING:
        return strcmp(*CONFIG_CONST_FIELD(a, option, char *),
                      *CONFIG_CONST_FIELD(b, option, char *)) == 0;
    case CONFIG_ADDRESS:
        return address_equal(CONFIG_CONST_FIELD(a, option, struct address),
                             CONFIG_CONST_FIELD(b, option, struct address));
    case CONFIG_ADDRESSES:
        return config_addresses_equal(CONFIG_CONST_FIELD(a, option, struct config_addresses),
                                      CONFIG_CONST_FIELD(b, option, struct config_addresses));
    case CONFIG_USERS:
        return config_users_equal(CONFIG_CONST_FIELD(a, option, struct config_users),
                                  CONFIG_CONST_FIELD(b, option, struct config_users));
    default:
        return memcmp((const char *)a + option->offset, (const char *)b + option->offset,
                      config_field_size(option)) == 0;
    }
}

void config_value_copy(struct config *to, const struct config *from,
                       const struct config_option *option)
{
    assert(option->type != CONFIG_USERS);
    if (option->type == CONFIG_STRING) {
        char *copy = strdup(*CONFIG_CONST_FIELD(from, option, char *));

        if (copy == NULL) {
            abort();
        }
        config_value_free(to, option);
        memcpy((char *)to + option->offset, &copy, sizeof copy);
    } else {
        memcpy((char *)to + option->offset, (const char *)from + option->offset,
               config_field_size(option));
    }
}

/* --------------------------------------------------------------------------------- to text -- */

/* What is written so far; `len` goes on counting where `out` is full. */
struct config_text {
    char *out;
    size_t size;
    size_t len;
};

static void config_put(struct config_text *text, const char *bytes, size_t len)
{
    if (text->len + 1 < text->size) {
        size_t room = text->size - text->len - 1;
        size_t fits = len < room ? len : room;

        memcpy(text->out + text->len, bytes, fits);
        text->out[text->len + fits] = '\0';
    }
    text->len += len;
}

static void config_put_text(struct config_text *text, const char *more)
{
    config_put(text, more, strlen(more));
}

/* The end of the conninfo value at `at`: a word, or in single quotes with backslashes. */
static const char *config_conninfo_value_end(const char *at)
{
    if (*at != '\'') {
        return at + strcspn(at, " \t");
    }
    for (at++; *at != '\0' && *at != '\''; at++) {
        if (at[0] == '\\' && at[1] != '\0') {
            at++;
        }
    }
    return at + (*at == '\'');
}

/* The end of "password =" in a conninfo at `at`, or NULL where something else stands there. */
static const char *config_conninfo_password(const char *at)
{
    static const char key[] = "password";

    if (strncmp(at, key, sizeof key - 1) != 0) {
        return NULL;
    }
    at += sizeof key - 1;
    at += strspn(at, " \t");
    if (*at != '=') {
        return NULL;
    }
    at++;
    return at + strspn(at, " \t");
}

/* Both forms: `password=x` (and sslpassword), and `postgresql://user:x@host/?password=x`. */
static void config_put_conninfo(struct config_text *text, const char *conninfo)
{
    bool uri =
        strncmp(conninfo, "postgres://", 11) == 0 || strncmp(conninfo, "postgresql://", 13) == 0;
    const char *at = conninfo;

    if (uri) {
        const char *authority = strstr(conninfo, "://") + 3;
        size_t user = strcspn(authority, ":/@?");
        const char *sign = strrchr(authority, '@');

        if (authority[user] == ':' && sign != NULL && sign > authority + user) {
            config_put(text, conninfo, (size_t)(authority + user + 1 - conninfo));
            config_put_text(text, "***");
            at = sign;
        }
    }
    while (*at != '\0') {
        const char *value = config_conninfo_password(at);

        if (value == NULL) {
            config_put(text, at++, 1);
            continue;
        }
        config_put(text, at, (size_t)(value - at));
        config_put_text(text, "***");
        at = uri ? value + strcspn(value, "&") : config_conninfo_value_end(value);
    }
}

static void config_put_addresses(struct config_text *text, const struct config_addresses *addresses)
{
    char room[ADDRESS_TEXT_ROOM];

    for (size_t i = 0; i < addresses->count; i++) {
        config_put_text(text, i == 0 ? "" : ", ");
        config_put_text(text, address_format(&addresses->items[i], room));
    }
}

static void config_put_users(struct config_text *text, const struct config_users *users)
{
    for (size_t i = 0; i < users->count; i++) {
        config_put_text(text, i == 0 ? "" : ", ");
        config_put_text(text, users->items[i].name);
        config_put_text(text, " ");
        config_put_text(text, config_role_name(users->items[i].role));
    }
}

size_t config_value_text(const struct config *config, size_t index, char *out, size_t size)
{
    const struct config_option *option = config_option_at(index);
    struct config_text text = {.out = out, .size = size};
    char room[ADDRESS_TEXT_ROOM];

    if (size > 0) {
        out[0] = '\0';
    }
    switch (option->type) {
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        snprintf(room, sizeof room, "%lld",
                 (long long)*CONFIG_CONST_FIELD(config, option, int64_t));
        config_put_text(&text, room);
        break;
    case CONFIG_MODE:
        snprintf(room, sizeof room, "%04llo",
                 (long long)*CONFIG_CONST_FIELD(config, option, int64_t));
        config_put_text(&text, room);
        break;
    case CONFIG_BOOL:
        config_put_text(&text, *CONFIG_CONST_FIELD(config, option, bool) ? "yes" : "no");
        break;
    case CONFIG_WORD:
        config_put_text(&text, option->words[*CONFIG_CONST_FIELD(config, option, int64_t)]);
        break;
    case CONFIG_STRING:
        if (option->offset == offsetof(struct config, store.conninfo)) {
            config_put_conninfo(&text, config->store.conninfo);
        } else {
            config_put_text(&text, *CONFIG_CONST_FIELD(config, option, char *));
        }
        break;
    case CONFIG_ADDRESS:
        config_put_text(&text,
                        address_format(CONFIG_CONST_FIELD(config, option, struct address), room));
        break;
    case CONFIG_ADDRESSES:
        config_put_addresses(&text, CONFIG_CONST_FIELD(config, option, struct config_addresses));
        break;
    case CONFIG_USERS:
        config_put_users(&text, CONFIG_CONST_FIELD(config, option, struct config_users));
        break;
    }
    return text.len;
}
