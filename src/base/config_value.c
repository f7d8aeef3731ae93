#include "base/config_value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/decimal.h"

/* A unit of durations or sizes, and what it is worth in the unit of the field. */
struct config_unit {
    const char *name;
    int64_t worth;
};

static const struct config_unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {NULL, 0},
};
static const struct config_unit size_units[] = {
    {"b", 1}, {"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {NULL, 0},
};

static const char *const role_names[] = {"read", "write", "admin"};

/* The field of the option, as what its type says that it is. */
#define CONFIG_FIELD(config, option, type) ((type *)(void *)((char *)(config) + (option)->offset))

const char *config_role_name(enum config_role role)
{
    return role_names[role];
}

bool config_option_is_list(const struct config_option *option)
{
    return option->type == CONFIG_ADDRESSES || option->type == CONFIG_USERS;
}

/* ------------------------------------------------------------------------------- from text -- */

static char *config_copy(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        abort();
    }
    return copy;
}

/* The unit of this name, or NULL; without a name the first one, which is the field's own. */
static const struct config_unit *config_unit_find(const struct config_unit *units, const char *name)
{
    if (name[0] == '\0') {
        return units;
    }
    for (; units->name != NULL; units++) {
        if (strcasecmp(units->name, name) == 0) {
            return units;
        }
    }
    return NULL;
}

/* A number with an optional unit of `units`, or without any unit where that is NULL. */
static bool config_set_number(int64_t *field, const struct config_option *option, const char *text,
                              const struct config_unit *units, char *err, size_t errlen)
{
    size_t digits = strspn(text, "0123456789");
    const struct config_unit *unit = NULL;
    int64_t value;

    if (units != NULL && digits > 0) {
        unit = config_unit_find(units, text + digits);
        if (unit == NULL) {
            snprintf(err, errlen, "unknown unit '%s': use %s", text + digits,
                     units == size_units ? "b, kb, mb or gb" : "ms, s, m or h");
            return false;
        }
    } else {
        digits = strlen(text);
    }

    enum decimal_result result = decimal_parse_int64(text, digits, &value);

    if (result == DECIMAL_MALFORMED) {
        snprintf(err, errlen, "expected a number%s, not '%s'",
                 units == NULL ? "" : " with an optional unit", text);
        return false;
    }
    if (result == DECIMAL_RANGE ||
        (unit != NULL && __builtin_mul_overflow(value, unit->worth, &value)) ||
        value < option->min || value > option->max) {
        snprintf(err, errlen, "must be from %lld to %lld%s", (long long)option->min,
                 (long long)option->max,
                 units == NULL         ? ""
                 : units == size_units ? " bytes"
                                       : " ms");
        return false;
    }
    *field = value;
    return true;
}

static bool config_set_mode(int64_t *field, const char *text, char *err, size_t errlen)
{
    size_t len = strlen(text);

    if (len < 3 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0')) {
        snprintf(err, errlen, "expected octal permissions like 0770, not '%s'", text);
        return false;
    }
    *field = strtol(text, NULL, 8);
    return true;
}

static bool config_set_bool(bool *field, const char *text, char *err, size_t errlen)
{
    if (strcasecmp(text, "yes") != 0 && strcasecmp(text, "no") != 0) {
        snprintf(err, errlen, "expected yes or no, not '%s'", text);
        return false;
    }
    *field = strcasecmp(text, "yes") == 0;
    return true;
}

static bool config_set_word(int64_t *field, const struct config_option *option, const char *text,
                            char *err, size_t errlen)
{
    size_t at;

    for (int64_t i = 0; option->words[i] != NULL; i++) {
        if (strcasecmp(option->words[i], text) == 0) {
            *field = i;
            return true;
        }
    }
    at = (size_t)snprintf(err, errlen, "'%s' is none of", text);
    for (size_t i = 0; option->words[i] != NULL && at < errlen; i++) {
        at += (size_t)snprintf(err + at, errlen - at, "%s %s", i == 0 ? "" : ",", option->words[i]);
    }
    return false;
}

static bool config_set_string(char **field, const struct config_option *option, const char *text,
                              char *err, size_t errlen)
{
    size_t len = strlen(text);

    if (len < (size_t)option->min || len > (size_t)option->max) {
        snprintf(err, errlen, "must be %lld to %lld bytes long", (long long)option->min,
                 (long long)option->max);
        return false;
    }
    free(*field);
    *field = config_copy(text);
    return true;
}

static bool config_set_address(struct address *field, const char *text, char *err, size_t errlen)
{
    const char *wrong = address_parse(text, field);

    if (wrong != NULL) {
        snprintf(err, errlen, "'%s': %s", text, wrong);
        return false;
    }
    return true;
}

/* "off" in a list of addresses leaves it empty. */
static bool config_add_address(struct config_addresses *field, const char *text, char *err,
                               size_t errlen)
{
    struct address address;

    if (!config_set_address(&address, text, err, errlen)) {
        return false;
    }
    if (address.kind == ADDRESS_UNIX) {
        snprintf(err, errlen, "'%s': a Unix socket is set with `unix`", text);
        return false;
    }
    if (address.kind == ADDRESS_NONE) {
        field->count = 0;
        return true;
    }
    if (field->count == LIMIT_LISTEN_ADDRESSES_MAX) {
        snprintf(err, errlen, "more than %d addresses", LIMIT_LISTEN_ADDRESSES_MAX);
        return false;
    }
    field->items[field->count++] = address;
    return true;
}

/* The next word at `*at`, of `*len` bytes; moves past it and the space behind it. */
static const char *config_next_word(const char **at, size_t *len)
{
    const char *word = *at;

    *len = strcspn(word, " \t");
    *at = word + *len + strspn(word + *len, " \t");
    return word;
}

static bool config_parse_role(const char *word, size_t len, enum config_role *role)
{
    for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
        if (strlen(role_names[i]) == len && strncasecmp(role_names[i], word, len) == 0) {
            *role = (enum config_role)i;
            return true;
        }
    }
    return false;
}

static bool config_name_is_good(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("_.-@", name[i]) == NULL) {
            return false;
        }
    }
    return len > 0 && len <= LIMIT_USER_NAME_BYTES_MAX;
}

static void config_user_free(struct config_user *user)
{
    free(user->password_file);
    if (user->password != NULL) {
        explicit_bzero(user->password, strlen(user->password));
        free(user->password);
    }
    *user = (struct config_user){0};
}

/* The place of the user of this name, or a new one at the end; NULL where there is no more room. */
static struct config_user *config_user_place(struct config_users *users, const char *name,
                                             size_t len)
{
    for (size_t i = 0; i < users->count; i++) {
        if (strlen(users->items[i].name) == len && memcmp(users->items[i].name, name, len) == 0) {
            config_user_free(&users->items[i]);
            return &users->items[i];
        }
    }
    if (users->count == LIMIT_USERS_MAX) {
        return NULL;
    }
    users->items = reallocarray(users->items, users->count + 1, sizeof *users->items);
    if (users->items == NULL) {
        abort();
    }
    users->items[users->count] = (struct config_user){0};
    return &users->items[users->count++];
}

/* "NAME ROLE PASSWORD-FILE"; a user named again takes the place of the first. */
static bool config_add_user(struct config_users *users, const char *text, char *err, size_t errlen)
{
    const char *at = text;
    size_t name_len, role_len;
    const char *name = config_next_word(&at, &name_len);
    const char *role_word = config_next_word(&at, &role_len);
    enum config_role role;

    if (at[0] == '\0') {
        snprintf(err, errlen, "expected NAME ROLE PASSWORD-FILE");
        return false;
    }
    if (!config_name_is_good(name, name_len)) {
        snprintf(err, errlen, "'%.*s': a name is 1 to %d of A-Z a-z 0-9 _ . - @", (int)name_len,
                 name, LIMIT_USER_NAME_BYTES_MAX);
        return false;
    }
    if (!config_parse_role(role_word, role_len, &role)) {
        snprintf(err, errlen, "'%.*s' is none of read, write, admin", (int)role_len, role_word);
        return false;
    }

    struct config_user *user = config_user_place(users, name, name_len);

    if (user == NULL) {
        snprintf(err, errlen, "more than %d users", LIMIT_USERS_MAX);
        return false;
    }
    memcpy(user->name, name, name_len);
    user->name[name_len] = '\0';
    user->role = role;
    user->password_file = config_copy(at);
    return true;
}

bool config_value_set(struct config *config, const struct config_option *option, const char *text,
                      char *err, size_t errlen)
{
    switch (option->type) {
    case CONFIG_INT:
        return config_set_number(CONFIG_FIELD(config, option, int64_t), option, text, NULL, err,
                                 errlen);
    case CONFIG_DURATION:
        return config_set_number(CONFIG_FIELD(config, option, int64_t), option, text,
                                 duration_units, err, errlen);
    case CONFIG_SIZE:
        return config_set_number(CONFIG_FIELD(config, option, int64_t), option, text, size_units,
                                 err, errlen);
    case CONFIG_MODE:
        return config_set_mode(CONFIG_FIELD(config, option, int64_t), text, err, errlen);
    case CONFIG_BOOL:
        return config_set_bool(CONFIG_FIELD(config, option, bool), text, err, errlen);
    case CONFIG_WORD:
        return config_set_word(CONFIG_FIELD(config, option, int64_t), option, text, err, errlen);
    case CONFIG_STRING:
        return config_set_string(CONFIG_FIELD(config, option, char *), option, text, err, errlen);
    case CONFIG_ADDRESS:
        return config_set_address(CONFIG_FIELD(config, option, struct address), text, err, errlen);
    case CONFIG_ADDRESSES:
        return config_add_address(CONFIG_FIELD(config, option, struct config_addresses), text, err,
                                  errlen);
    case CONFIG_USERS:
        return config_add_user(CONFIG_FIELD(config, option, struct config_users), text, err,
                               errlen);
    }
    abort();
}

void config_value_clear(struct config *config, const struct config_option *option)
{
    assert(config_option_is_list(option));
    if (option->type == CONFIG_ADDRESSES) {
        CONFIG_FIELD(config, option, struct config_addresses)->count = 0;
    } else {
        config_value_free(config, option);
    }
}

void config_value_free(struct config *config, const struct config_option *option)
{
    if (option->type == CONFIG_STRING) {
        char **field = CONFIG_FIELD(config, option, char *);

        free(*field);
        *field = NULL;
    } else if (option->type == CONFIG_USERS) {
        struct config_users *users = CONFIG_FIELD(config, option, struct config_users);

        for (size_t i = 0; i < users->count; i++) {
            config_user_free(&users->items[i]);
        }
        free(users->items);
        *users = (struct config_users){0};
    }
}
