/*
 * Loading goes in three steps: every option gets its default; the lines of the file, through inih,
 * replace them; then what spans several options is checked, and the files of secrets are read. For
 * each option the line that set it last is kept, so that what the last step finds has a line too.
 */
#include "base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_value.h"

#define CONFIG_OPTIONS_MAX 64
#define CONFIG_NAME_ROOM 128
/* What inih wants beyond a line: its end, and a NUL. */
#define CONFIG_LINE_ROOM (LIMIT_CONFIG_LINE_BYTES_MAX + 3)

struct config_loader {
    const char *path;
    FILE *file;
    struct config *config;
    char *line; /* getline()'s */
    size_t line_room;
    int line_number;
    int section_number;               /* how many section lines there were */
    int lines[CONFIG_OPTIONS_MAX];    /* that set the option last; 0: its default holds */
    int sections[CONFIG_OPTIONS_MAX]; /* the section_number of that line */
    char *err;
    size_t errlen;
    bool failed;
};

/* The first error stays. `line` 0 is the file as a whole. */
static void config_fail(struct config_loader *loader, int line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void config_fail(struct config_loader *loader, int line, const char *fmt, ...)
{
    char place[32] = "";
    va_list args;

    if (loader->failed) {
        return;
    }
    loader->failed = true;
    if (line > 0) {
        snprintf(place, sizeof place, ":%d", line);
    }

    int at = snprintf(loader->err, loader->errlen, "%s%s: ", loader->path, place);

    if (at >= 0 && (size_t)at < loader->errlen) {
        va_start(args, fmt);
        vsnprintf(loader->err + at, loader->errlen - (size_t)at, fmt, args);
        va_end(args);
    }
}

/* ---------------------------------------------------------------------------------- lines -- */

/*
 * inih's reader: like fgets(), but counts lines and sections, and refuses what inih would take for
 * something else: an overlong line for two, and an indented one for more of the value before it.
 */
static char *config_read_line(char *out, int room, void *stream)
{
    struct config_loader *loader = stream;
    ssize_t len;

    if (loader->failed || (len = getline(&loader->line, &loader->line_room, loader->file)) < 0) {
        return NULL;
    }
    loader->line_number++;

    char *line = loader->line + strspn(loader->line, " \t");

    if (strlen(loader->line) != (size_t)len) {
        config_fail(loader, loader->line_number, "there is a NUL byte in the line");
        return NULL;
    }
    if (strlen(line) >= (size_t)room) {
        config_fail(loader, loader->line_number, "the line is longer than %d bytes",
                    LIMIT_CONFIG_LINE_BYTES_MAX);
        return NULL;
    }
    if (line[0] == '[') {
        loader->section_number++;
    }
    return strcpy(out, line);
}

static bool config_section_exists(const char *section)
{
    size_t len = strlen(section);

    for (size_t i = 0; i < config_option_count(); i++) {
        const char *name = config_option_at(i)->name;

        if (strncmp(name, section, len) == 0 && name[len] == '.') {
            return true;
        }
    }
    return false;
}

/* inih's handler: returns 0 for an error. */
static int config_take_option(void *user, const char *section, const char *key, const char *text)
{
    struct config_loader *loader = user;
    char name[CONFIG_NAME_ROOM];
    char wrong[512];

    snprintf(name, sizeof name, "%s.%s", section, key);

    const struct config_option *option = config_option_find(name);

    if (option == NULL) {
        if (section[0] == '\0') {
            config_fail(loader, loader->line_number, "'%s' stands before the first [section]", key);
        } else if (!config_section_exists(section)) {
            config_fail(loader, loader->line_number, "unknown section [%s]", section);
        } else {
            config_fail(loader, loader->line_number, "unknown option '%s' in [%s]", key, section);
        }
        return 0;
    }

    size_t index = (size_t)(option - config_option_at(0));

    if (config_option_is_list(option) &&
        (loader->lines[index] == 0 || loader->sections[index] != loader->section_number)) {
        config_value_clear(loader->config, option);
    }
    if (!config_value_set(loader->config, option, text, wrong, sizeof wrong)) {
        config_fail(loader, loader->line_number, "%s: %s", key, wrong);
        return 0;
    }
    loader->lines[index] = loader->line_number;
    loader->sections[index] = loader->section_number;
    return 1;
}

static void config_read_file(struct config_loader *loader)
{
    loader->file = fopen(loader->path, "re");
    if (loader->file == NULL) {
        config_fail(loader, 0, "cannot open it: %s", strerror(errno));
        return;
    }
    ini_max_line = CONFIG_LINE_ROOM;
    ini_use_stack = true;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;

    int line = ini_parse_stream(config_read_line, loader, config_take_option, loader);

    if (ferror(loader->file)) {
        config_fail(loader, 0, "cannot read it: %s", strerror(errno));
    } else if (line != 0) {
        config_fail(loader, loader->line_number, "expected [section] or key = value");
    }
    free(loader->line);
    fclose(loader->file);
}

/* --------------------------------------------------------------------------------- checks -- */

/* The line that set the option whose field this is. */
static int config_line_of(const struct config_loader *loader, const char *name)
{
    return loader->lines[config_option_find(name) - config_option_at(0)];
}

/* Other machines may speak to us only where they must say who they are. */
static void config_check_listeners(struct config_loader *loader)
{
    const struct config *config = loader->config;
    char text[ADDRESS_TEXT_ROOM];

    if (config->listen.addresses.count == 0 && config->listen.unix_path[0] == '\0') {
        config_fail(loader, config_line_of(loader, "listen.address"),
                    "neither an address nor a Unix socket to listen on");
    }
    if (config->listen.unix_path[0] != '\0' && config->listen.unix_path[0] != '/') {
        config_fail(loader, config_line_of(loader, "listen.unix"),
                    "unix: expected an absolute path");
    }
    if (config->listen.http.kind == ADDRESS_UNIX) {
        config_fail(loader, config_line_of(loader, "listen.http"), "http: expected IP:PORT or off");
    }
    if (config->auth.users.count > 0) {
        return;
    }
    for (size_t i = 0; i < config->listen.addresses.count; i++) {
        if (!address_is_local(&config->listen.addresses.items[i])) {
            config_fail(loader, config_line_of(loader, "listen.address"),
                        "address: %s can be reached from other machines: refused without "
                        "a user in [auth]",
                        address_format(&config->listen.addresses.items[i], text));
        }
    }
    if (!address_is_local(&config->listen.http)) {
        config_fail(loader, config_line_of(loader, "listen.http"),
                    "http: %s can be reached from other machines: refused without a user in "
                    "[auth]",
                    address_format(&config->listen.http, text));
    }
}

static void config_check_relations(struct config_loader *loader)
{
    const struct config *config = loader->config;

    if (config->cache.address.kind == ADDRESS_NONE) {
        config_fail(loader, config_line_of(loader, "cache.address"),
                    "address: expected IP:PORT or /PATH");
    }
    for (const char *c = config->cache.prefix; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            config_fail(loader, config_line_of(loader, "cache.prefix"),
                        "prefix: must be printable ASCII without spaces");
        }
    }
    if (config->cache.publish_timeout_ms >= config->cache.lease_ms) {
        config_fail(loader, config_line_of(loader, "cache.publish-timeout-ms"),
                    "publish-timeout-ms: must be less than lease-ms, or every publish that times "
                    "out outlives the lease");
    }
    if (config->limits.batch > config->limits.queue) {
        config_fail(loader, config_line_of(loader, "limits.queue"),
                    "queue: must hold at least one batch (%lld)", (long long)config->limits.batch);
    }
}

/* -------------------------------------------------------------------------------- secrets -- */

/* Reads to the end of the file or of the room; returns the bytes, -1 with errno set. */
static ssize_t config_read_all(int fd, char *out, size_t room)
{
    size_t len = 0;

    while (len < room) {
        ssize_t got = read(fd, out + len, room - len);

        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)len;
}

char *config_read_secret(const char *path, const char **err)
{
    char room[LIMIT_SECRET_BYTES_MAX + 3]; /* CR LF, and one that says that it is too long */
    char *secret = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : config_read_all(fd, room, sizeof room);

    if (len < 0) {
        *err = strerror(errno);
    } else {
        len -= len > 0 && room[len - 1] == '\n';
        len -= len > 0 && room[len - 1] == '\r';
        if (len == 0) {
            *err = "the file is empty";
        } else if (len > LIMIT_SECRET_BYTES_MAX) {
            *err = "the secret is too long";
        } else if (memchr(room, '\n', (size_t)len) != NULL ||
                   memchr(room, '\0', (size_t)len) != NULL) {
            *err = "the file must hold one line";
        } else {
            secret = strndup(room, (size_t)len);
        }
    }
    explicit_bzero(room, sizeof room);
    if (fd >= 0) {
        close(fd);
    }
    return secret;
}

/* A relative path counts from the directory of the configuration file. */
static char *config_resolve(const char *config_path, const char *path)
{
    const char *slash = strrchr(config_path, '/');
    char *full;

    if (path[0] == '/' || slash == NULL) {
        return strdup(path);
    }
    if (asprintf(&full, "%.*s/%s", (int)(slash - config_path), config_path, path) < 0) {
        return NULL;
    }
    return full;
}

static void config_wipe(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void config_renew_secret(char **secret, const char *path)
{
    const char *wrong = NULL;
    char *fresh = path == NULL ? NULL : config_read_secret(path, &wrong);

    if (fresh != NULL) {
        config_wipe(*secret);
        *secret = fresh;
    }
}

/* The secret that the option names; where it names none, that of the environment, or "". The path
 * becomes one that holds wherever it is used. */
static char *config_load_secret(struct config_loader *loader, const char *option,
                                const char *variable, char **path)
{
    const char *value = variable == NULL ? NULL : getenv(variable);
    const char *wrong = NULL;
    char *secret;

    if ((*path)[0] == '\0') {
        secret = strdup(value == NULL ? "" : value);
    } else {
        char *full = config_resolve(loader->path, *path);

        if (full == NULL) {
            abort();
        }
        free(*path);
        *path = full;
        secret = config_read_secret(full, &wrong);
        if (wrong != NULL) {
            config_fail(loader, config_line_of(loader, option), "cannot take the secret in %s: %s",
                        full, wrong);
        }
    }
    if (secret == NULL && wrong == NULL) {
        abort();
    }
    return secret;
}

static void config_load_secrets(struct config_loader *loader)
{
    struct config *config = loader->config;

    config->store.password = config_load_secret(
        loader, "store.password-file", "BALLAST_STORE_PASSWORD", &config->store.password_file);
    config->cache.password = config_load_secret(
        loader, "cache.password-file", "BALLAST_CACHE_PASSWORD", &config->cache.password_file);
    for (size_t i = 0; i < config->auth.users.count; i++) {
        struct config_user *user = &config->auth.users.items[i];

        user->password = config_load_secret(loader, "auth.user", NULL, &user->password_file);
    }
}

/* ------------------------------------------------------------------------- load and reload -- */

static void config_set_defaults(struct config *config)
{
    char wrong[256];

    for (size_t i = 0; i < config_option_count(); i++) {
        const struct config_option *option = config_option_at(i);

        if (option->fallback != NULL &&
            !config_value_set(config, option, option->fallback, wrong, sizeof wrong)) {
            fprintf(stderr, "default of %s: %s\n", option->name, wrong);
            abort();
        }
    }
}

struct config *config_load(const char *path, char *err, size_t errlen)
{
    struct config *config = calloc(1, sizeof *config);
    struct config_loader loader = {
        .path = path == NULL ? "" : path, .config = config, .err = err, .errlen = errlen};

    assert(config_option_count() <= CONFIG_OPTIONS_MAX);
    if (config == NULL || (config->path = strdup(loader.path)) == NULL) {
        abort();
    }
    config_set_defaults(config);
    if (path != NULL) {
        config_read_file(&loader);
    }
    if (!loader.failed) {
        config_check_listeners(&loader);
        config_check_relations(&loader);
        config_load_secrets(&loader);
    }
    if (loader.failed) {
        config_free(config);
        return NULL;
    }
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config_option_count(); i++) {
        config_value_free(config, config_option_at(i));
    }
    config_wipe(config->store.password);
    config_wipe(config->cache.password);
    free(config->path);
    free(config);
}

/* A word more in the list of names; cut with "..." where it does not fit. */
static void config_append_name(char *out, size_t size, const char *name)
{
    size_t len = strlen(out);

    if (len + strlen(name) + sizeof " ..." < size) {
        snprintf(out + len, size - len, "%s%s", len == 0 ? "" : " ", name);
    } else if (len + sizeof " ..." <= size && (len < 3 || strcmp(out + len - 3, "...") != 0)) {
        strcpy(out + len, " ...");
    }
}

/* A copy, so that the running configuration is not touched. */
static void config_keep_secret(char **field, const char *running)
{
    config_wipe(*field);
    *field = strdup(running);
    if (*field == NULL) {
        abort();
    }
}

struct config *config_reload(const struct config *running, char *pending, size_t pendinglen,
                             char *err, size_t errlen)
{
    struct config *config =
        config_load(running->path[0] == '\0' ? NULL : running->path, err, errlen);

    if (pendinglen > 0) {
        pending[0] = '\0';
    }
    if (config == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < config_option_count(); i++) {
        const struct config_option *option = config_option_at(i);

        if (!option->reload && !config_value_equal(running, config, option)) {
            config_append_name(pending, pendinglen, option->name);
            config_value_copy(config, running, option);
        }
    }
    config_keep_secret(&config->store.password, running->store.password);
    config_keep_secret(&config->cache.password, running->cache.password);

    /* The mixture must hold too: users may have gone that a kept address cannot do without. */
    struct config_loader loader = {
        .path = config->path, .config = config, .err = err, .errlen = errlen};

    config_check_listeners(&loader);
    config_check_relations(&loader);
    if (loader.failed) {
        config_free(config);
        return NULL;
    }
    return config;
}

const struct config_user *config_user_find(const struct config *config, const char *name,
                                           size_t len)
{
    for (size_t i = 0; i < config->auth.users.count; i++) {
        const struct config_user *user = &config->auth.users.items[i];

        if (strlen(user->name) == len && memcmp(user->name, name, len) == 0) {
            return user;
        }
    }
    return NULL;
}
