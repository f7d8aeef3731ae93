/*
 * base/config.h: the settings of daemon and command line, from an INI file (conf/ballast.conf is
 * the manual).
 *
 * One sorted table of options drives everything: reading, checking, defaults, what a reload takes
 * over, CONFIG GET; a lint compares it with the manual. Sections may repeat, and a later value
 * wins. An option that is a list takes one value a line; where its section appears again and
 * names it, the list begins anew.
 *
 * Units: a duration is a number of milliseconds, or has the unit ms, s, m or h; a size is a number
 * of bytes, or has the unit b, kb, mb or gb (of 1,024). A relative path of a secret is relative to
 * the directory of the configuration file.
 *
 * A struct config never changes once loaded: a reload makes another one.
 */
#ifndef BALLAST_BASE_CONFIG_H
#define BALLAST_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/limits.h"
#include "base/log.h"

/* What a user may do; each includes the ones before. */
enum config_role {
    CONFIG_ROLE_READ,
    CONFIG_ROLE_WRITE,
    CONFIG_ROLE_ADMIN,
};

/* What a daemon does that cannot renew its lease while its peers could use the cache. */
enum config_cut_off {
    CONFIG_CUT_OFF_DRAIN, /* keep the era drained: everybody reads from the store */
    CONFIG_CUT_OFF_ASIDE, /* refuse to answer, so that the peers keep the cache */
};

struct config_user {
    char name[LIMIT_USER_NAME_BYTES_MAX + 1];
    enum config_role role;
    char *password_file; /* as the option names it */
    char *password;      /* what the file held */
};

struct config_users {
    struct config_user *items;
    size_t count;
};

struct config_addresses {
    struct address items[LIMIT_LISTEN_ADDRESSES_MAX];
    size_t count;
};

/* Durations are in milliseconds, sizes in bytes. Text is never NULL; "" is "not set". */
struct config {
    char *path; /* the file; "" for the defaults */
    struct {
        struct config_addresses addresses;
        char *unix_path;
        int64_t unix_mode;
        struct address http; /* ADDRESS_NONE: off */
        int64_t workers;
        int64_t backlog;
    } listen;
    struct {
        char *conninfo;
        char *password_file;
        char *password; /* from the file, else from $BALLAST_STORE_PASSWORD, else "" */
        int64_t connect_timeout_ms;
        int64_t read_links;
        int64_t statement_timeout_ms;
        int64_t lock_timeout_ms;
        int64_t denials_kept_days;
        bool allow_fsync_off;
    } store;
    struct {
        struct address address;
        char *prefix;
        char *user;
        char *password_file;
        char *password; /* from the file, else from $BALLAST_CACHE_PASSWORD, else "" */
        int64_t connect_timeout_ms;
        int64_t timeout_ms;
        int64_t publish_timeout_ms;
        int64_t lease_ms;
        bool warm;
        int64_t warm_rate;    /* accounts a second; 0: as latency allows */
        int64_t when_cut_off; /* enum config_cut_off */
    } cache;
    struct {
        int64_t request_timeout_ms;
        int64_t idle_timeout_ms; /* 0: never */
        int64_t clients;
        int64_t pipeline;
        int64_t batch;
        int64_t queue;
        int64_t read_queue;
        int64_t output_buffer_bytes;
        int64_t bulk_bytes;
        int64_t args;
    } limits;
    struct {
        int64_t charges, charges_percent; /* of the accounts; the greater of both is the limit */
        int64_t suspensions, suspensions_percent;
        int64_t window_ms;
    } fuses;
    struct {
        struct config_users users;
    } auth;
    struct {
        char *file;    /* "-": standard error */
        int64_t level; /* enum log_level */
    } log;
};

enum config_type {
    CONFIG_INT,
    CONFIG_DURATION, /* milliseconds */
    CONFIG_SIZE,     /* bytes */
    CONFIG_MODE,     /* octal permissions */
    CONFIG_BOOL,     /* yes or no */
    CONFIG_WORD,     /* one of `words`; the field holds its index */
    CONFIG_STRING,
    CONFIG_ADDRESS,
    CONFIG_ADDRESSES, /* a list */
    CONFIG_USERS,     /* a list */
};

struct config_option {
    const char *name; /* "limits.clients": section and key */
    enum config_type type;
    const char *fallback; /* the default, as text; NULL for an empty list */
    int64_t min, max;     /* of numbers; of strings, the length */
    const char *const *words;
    bool reload;   /* whether SIGHUP applies it */
    size_t offset; /* of its field in struct config */
};

/*
 * Reads the file, or only the defaults where `path` is NULL. Returns NULL with "FILE:LINE: what is
 * wrong" (without a newline) in `err` where anything is; nothing is printed. Reads the files of
 * secrets too. Free with config_free().
 */
struct config *config_load(const char *path, char *err, size_t errlen) MUST_CHECK;

/* NULL does nothing. Secrets are wiped. */
void config_free(struct config *config);

/*
 * Reads the file of `running` again. Returns what shall hold from now on: the new values of the
 * options that a reload applies, the running ones of all others; the names of those others whose
 * values differ, which need a restart, go to `pending`, separated by spaces ("" for none, cut with
 * "..." where they do not fit). NULL with `err` set: keep the running configuration.
 */
struct config *config_reload(const struct config *running, char *pending, size_t pendinglen,
                             char *err, size_t errlen) MUST_CHECK;

/* The options, sorted by name. */
size_t config_option_count(void);
const struct config_option *config_option_at(size_t index);

/* The option of this name ("limits.clients"), or NULL. */
const struct config_option *config_option_find(const char *name);

/*
 * The value in force as a person would write it, lists separated by ", ". Secrets are not shown:
 * users appear without their files, a password inside conninfo as ***. Cut where it does not fit;
 * returns the length that it has in full, like snprintf().
 */
size_t config_value_text(const struct config *config, size_t index, char *out, size_t size);

/* The user of this name, or NULL; name need not end in NUL. */
const struct config_user *config_user_find(const struct config *config, const char *name,
                                           size_t len);

/* "read", "write" or "admin". */
const char *config_role_name(enum config_role role);

/*
 * The secret in a file: its content without one line end. Returns NULL and sets `*err` (a constant
 * text, or strerror) where there is no file, or it is empty, too long or not one line.
 */
char *config_read_secret(const char *path, const char **err) MUST_CHECK;

/*
 * Takes over what the file holds by now, for a password that was changed (fault row 11). The secret
 * (on the heap, or NULL) stays where the path is NULL or the file cannot be read.
 */
void config_renew_secret(char **secret, const char *path);

#endif
