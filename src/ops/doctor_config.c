/* The configuration: what a loaded one can still be wrong about. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ops/doctor_checks.h"
#include "store/conninfo.h"

#define PATH_ROOM 4096

static const char *path_of(const struct doctor_exam *exam)
{
    return exam->config->path[0] != '\0' ? exam->config->path : "/etc/ballast/ballast.conf";
}

void check_config_file(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct doctor_options *options = exam->options;

    if (options->config_error != NULL) {
        doctor_find(finding, DOCTOR_FAIL, "%s", options->config_error);
        doctor_next(finding, "ballastd --check-config -c %.*s",
                    (int)strcspn(options->config_error, ":"), options->config_error);
    } else if (exam->config->path[0] == '\0') {
        doctor_find(finding, DOCTOR_OK, "no file: the defaults hold");
    } else {
        doctor_find(finding, DOCTOR_OK, "%s is good", exam->config->path);
    }
}

/* --- who may connect --------------------------------------------------------------------------*/

void check_config_listen(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct config *config = exam->config;
    size_t far = !address_is_local(&config->listen.http);
    bool open_socket =
        config->listen.unix_path[0] != '\0' && (config->listen.unix_mode & S_IWOTH) != 0;

    for (size_t i = 0; i < config->listen.addresses.count; i++) {
        far += !address_is_local(&config->listen.addresses.items[i]);
    }
    if (config->auth.users.count > 0 || (far == 0 && !open_socket)) {
        doctor_find(finding, DOCTOR_OK, "%zu addresses that other machines reach, %zu users", far,
                    config->auth.users.count);
        return;
    }
    /* Addresses without users are refused when the file is loaded. */
    doctor_find(finding, DOCTOR_WARN,
                "every user of this machine may move money through %s: unix-mode is %04" PRIo64
                ", and [auth] names no user",
                config->listen.unix_path, (uint64_t)config->listen.unix_mode);
    doctor_next(finding, "grep -n unix-mode %s", path_of(exam));
}

/* --- secrets ----------------------------------------------------------------------------------*/

/* A relative path counts from the directory of the configuration. */
static void resolve(const struct doctor_exam *exam, const char *path, char out[PATH_ROOM])
{
    const char *slash = strrchr(exam->config->path, '/');

    if (path[0] == '/' || slash == NULL) {
        snprintf(out, PATH_ROOM, "%s", path);
    } else {
        snprintf(out, PATH_ROOM, "%.*s/%s", (int)(slash - exam->config->path), exam->config->path,
                 path);
    }
}

/* Whether the file may be read by all, or written by more than its owner. */
static bool is_exposed(const char *path, struct doctor_finding *finding)
{
    struct stat file;

    if (stat(path, &file) != 0 || (file.st_mode & (S_IRWXO | S_IWGRP)) == 0) {
        return false;
    }
    doctor_find(finding, DOCTOR_FAIL, "%.400s holds a secret and has mode %04o: others may %s it",
                path, (unsigned)(file.st_mode & 07777),
                (file.st_mode & (S_IWOTH | S_IWGRP)) != 0 ? "change" : "read");
    doctor_next(finding, "chmod o-rwx,g-w %.280s", path);
    return true;
}

void check_config_secrets(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct config *config = exam->config;
    const char *files[2 + LIMIT_USERS_MAX] = {config->store.password_file,
                                              config->cache.password_file};
    size_t count = 2, there = 0;
    char path[PATH_ROOM], inside[8];

    for (size_t i = 0; i < config->auth.users.count && count < sizeof files / sizeof files[0];
         i++) {
        files[count++] = config->auth.users.items[i].password_file;
    }
    for (size_t i = 0; i < count; i++) {
        if (files[i][0] == '\0') {
            continue;
        }
        there++;
        resolve(exam, files[i], path);
        if (is_exposed(path, finding)) {
            return;
        }
    }
    if (strstr(config->store.conninfo, "password") != NULL &&
        store_conninfo_get(config->store.conninfo, "password", inside, sizeof inside) &&
        inside[0] != '\0') {
        there++;
        if (is_exposed(config->path, finding)) {
            return;
        }
    }
    doctor_find(finding, DOCTOR_OK, "%zu files with secrets, none open to others", there);
}

/* --- values -----------------------------------------------------------------------------------*/

void check_config_store(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const char *conninfo = exam->config->store.conninfo;
    char host[256], address[64];
    struct address parsed;

    if (!store_conninfo_get(conninfo, "host", host, sizeof host) ||
        !store_conninfo_get(conninfo, "hostaddr", address, sizeof address)) {
        doctor_find(finding, DOCTOR_FAIL, "[store] conninfo is no connection string of libpq");
        doctor_next(finding, "grep -n conninfo %s", path_of(exam));
        return;
    }
    char with_port[sizeof host + 8];
    snprintf(with_port, sizeof with_port, strchr(host, ':') != NULL ? "[%s]:1" : "%s:1", host);
    if (address[0] != '\0' || host[0] == '\0' || host[0] == '/' ||
        address_parse(with_port, &parsed) == NULL) {
        doctor_find(finding, DOCTOR_OK, "the server is named by %s",
                    address[0] != '\0'                  ? "its address"
                    : host[0] == '/' || host[0] == '\0' ? "its socket"
                                                        : "its address");
        return;
    }
    doctor_find(finding, DOCTOR_WARN,
                "[store] conninfo names the host %s: looking it up blocks every connection of the "
                "daemon, and the name may move to a standby",
                host);
    doctor_next(finding, "getent hosts %s (and give it as hostaddr in %s)", host, path_of(exam));
}

void check_config_timeouts(struct doctor_exam *exam, struct doctor_finding *finding)
{
    const struct config *config = exam->config;
    const char *name = NULL, *than = NULL;

    if (config->store.statement_timeout_ms == 0 ||
        config->store.statement_timeout_ms >= config->limits.request_timeout_ms) {
        name = "[store] statement-timeout-ms";
        than = "[limits] request-timeout-ms, so that a slow statement ends in a definite answer";
    } else if (config->store.lock_timeout_ms == 0 ||
               config->store.lock_timeout_ms >= config->store.statement_timeout_ms) {
        name = "[store] lock-timeout-ms";
        than = "statement-timeout-ms, so that one locked account holds up no others";
    } else if (config->cache.timeout_ms >= config->limits.request_timeout_ms) {
        name = "[cache] timeout-ms";
        than = "[limits] request-timeout-ms, so that the store can still be asked";
    }
    if (name == NULL) {
        doctor_find(finding, DOCTOR_OK,
                    "a lock gives up before a statement, a statement before a "
                    "request");
        return;
    }
    doctor_find(finding, DOCTOR_WARN, "%s should be less than %s", name, than);
    doctor_next(finding, "grep -n timeout-ms %s", path_of(exam));
}
