/*
 * Redis' settings against its configuration file: what somebody has changed at run time, and a
 * restart takes back. (In the incident the restart read a file that said something else.)
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ops/doctor_checks.h"

#define VALUE_ROOM 256
#define INCLUDES_MAX 4 /* deep */

/* The settings that matter to Ballast, and their defaults in Redis 7. */
static const struct setting {
    const char *name;
    const char *fallback;
    enum { PLAIN, MEMORY, SECRET, SAVE, REPLICAOF } kind;
} settings[] = {
    {"appendonly", "no", PLAIN},
    {"appendfsync", "everysec", PLAIN},
    {"maxmemory", "0", MEMORY},
    {"maxmemory-policy", "noeviction", PLAIN},
    {"min-replicas-to-write", "0", PLAIN},
    {"repl-backlog-size", "1048576", MEMORY},
    {"replica-read-only", "yes", PLAIN},
    {"replica-serve-stale-data", "yes", PLAIN},
    {"replicaof", "", REPLICAOF},
    {"requirepass", "", SECRET},
    {"save", "3600 1 300 100 60 10000", SAVE},
    {"stop-writes-on-bgsave-error", "yes", PLAIN},
    {"timeout", "0", PLAIN},
};
#define SETTING_COUNT (sizeof settings / sizeof settings[0])

struct file {
    char values[SETTING_COUNT][VALUE_ROOM];
    bool saves; /* a `save` line came: it replaces the default, further ones add to it */
};

/* --- the file ---------------------------------------------------------------------------------*/

static const struct setting *find_setting(const char *name)
{
    static const char *const old_names[][2] = {{"slaveof", "replicaof"},
                                               {"slave-read-only", "replica-read-only"}};

    for (size_t i = 0; i < sizeof old_names / sizeof old_names[0]; i++) {
        name = strcasecmp(name, old_names[i][0]) == 0 ? old_names[i][1] : name;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcasecmp(name, settings[i].name) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

/* "100mb" in bytes, as CONFIG GET shows it. */
static void write_memory(char *out, const char *text)
{
    static const struct {
        const char *unit;
        unsigned long long bytes;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
                 {"m", 1000000}, {"mb", 1048576}, {"g", 1000000000}, {"gb", 1073741824}};
    char *unit;
    unsigned long long value = strtoull(text, &unit, 10);

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(unit, units[i].unit) == 0) {
            value *= units[i].bytes;
        }
    }
    snprintf(out, VALUE_ROOM, "%llu", value);
}

static void set_value(struct file *file, const struct setting *setting, const char *text)
{
    char *value = file->values[setting - settings];
    size_t len = strlen(value);

    switch (setting->kind) {
    case MEMORY:
        write_memory(value, text);
        break;
    case REPLICAOF:
        snprintf(value, VALUE_ROOM, "%s", strcasecmp(text, "no one") == 0 ? "" : text);
        break;
    case SAVE:
        len = file->saves && text[0] != '\0' ? len : 0;
        snprintf(value + len, VALUE_ROOM - len, "%s%s", len > 0 ? " " : "", text);
        file->saves = true;
        break;
    case PLAIN:
    case SECRET:
        snprintf(value, VALUE_ROOM, "%s", text);
    }
}

/* Cuts white space and one pair of quotes off; words are left with one space between them. */
static char *trim(char *text)
{
    char *end = text + strlen(text), *to;

    while (end > text && isspace((unsigned char)end[-1])) {
        *--end = '\0';
    }
    text += strspn(text, " \t");
    if (end - text >= 2 && (text[0] == '"' || text[0] == '\'') && end[-1] == text[0]) {
        *--end = '\0';
        text++;
    }
    to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (!isspace((unsigned char)*from) || !isspace((unsigned char)from[1])) {
            *to++ = *from == '\t' ? ' ' : *from;
        }
    }
    *to = '\0';
    return text;
}

/* Returns 0, or errno of the file that cannot be read. */
static int read_file(struct file *file, const char *path, int depth)
{
    FILE *in = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    int error = in == NULL ? errno : 0;

    while (error == 0 && getline(&line, &room, in) >= 0) {
        char *name = line + strspn(line, " \t"), *value;
        size_t len = strcspn(name, " \t\r\n");
        const struct setting *setting;
        if (len == 0 || name[0] == '#') {
            continue;
        }
        value = name[len] != '\0' ? trim(name + len + 1) : name + len;
        name[len] = '\0';
        setting = find_setting(name);
        if (setting != NULL) {
            set_value(file, setting, value);
        } else if (strcasecmp(name, "include") == 0 && depth < INCLUDES_MAX) {
            error = read_file(file, value, depth + 1);
        }
    }
    free(line);
    if (in != NULL) {
        fclose(in);
    }
    return error;
}

/* --- the check --------------------------------------------------------------------------------*/

/* False, with a finding that says why, where the file cannot be looked at. */
static bool load(const struct doctor_exam *exam, const char *path, struct file *file,
                 struct doctor_finding *finding)
{
    int error;

    for (size_t i = 0; i < SETTING_COUNT; i++) {
        snprintf(file->values[i], VALUE_ROOM, "%s", settings[i].fallback);
    }
    if (path[0] == '\0') {
        return true;
    }
    if (!address_is_local(&exam->config->cache.address)) {
        doctor_find(finding, DOCTOR_SKIPPED, "%s is on another machine", path);
        return false;
    }
    error = read_file(file, path, 0);
    if (error == ENOENT) {
        doctor_find(finding, DOCTOR_WARN,
                    "its configuration file %s is not there: a restart fails, or finds another",
                    path);
        doctor_next(finding, "ls -l %s; %s CONFIG REWRITE", path, exam->redis.peer.cli);
    } else if (error != 0) {
        doctor_find(finding, DOCTOR_SKIPPED, "%s: %s", path, strerror(error));
    }
    return error == 0;
}

/* Adds "name is A, B in the file". */
static void add_difference(const struct setting *setting, const char *running, const char *filed,
                           char *out, size_t size)
{
    size_t len = strlen(out);
    bool secret = setting->kind == SECRET;

    if (strcasecmp(running, filed) != 0 && len < size) {
        snprintf(out + len, size - len, "%s%s is '%s', '%s' after a restart", len > 0 ? "; " : "",
                 setting->name, secret ? "(secret)" : running, secret ? "(another)" : filed);
    }
}

void check_redis_settings(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_peer *peer = &exam->redis.peer;
    const char *words[2 + SETTING_COUNT] = {"CONFIG", "GET"};
    char path[512], differences[DOCTOR_EVIDENCE_ROOM] = "";
    bool follows = false; /* whom the file does not name */
    struct file file = {.saves = false};

    doctor_info_text(exam->redis.info, "config_file", path, sizeof path);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        words[2 + i] = settings[i].name;
    }
    if (!load(exam, path, &file, finding)) {
        return;
    }
    if (!doctor_peer_ask(peer, words, 2 + SETTING_COUNT) || peer->is_error) {
        doctor_find(finding, DOCTOR_SKIPPED, "CONFIG GET is not answered");
        return;
    }
    for (size_t i = 0; i + 1 < peer->count; i += 2) {
        const struct setting *setting = find_setting(peer->texts[i]);
        if (setting != NULL && peer->texts[i + 1] != NULL) {
            const char *filed = file.values[setting - settings];
            add_difference(setting, peer->texts[i + 1], filed, differences, sizeof differences);
            follows |=
                setting->kind == REPLICAOF && peer->texts[i + 1][0] != '\0' && filed[0] == '\0';
        }
    }
    if (differences[0] == '\0') {
        doctor_find(finding, DOCTOR_OK, "as in %s", path[0] != '\0' ? path : "its defaults");
    } else {
        doctor_find(finding, DOCTOR_WARN, "%s: %s", path[0] != '\0' ? path : "no file",
                    differences);
        doctor_next(finding,
                    path[0] != '\0' ? "%s CONFIG REWRITE (to keep what runs)"
                                    : "%s INFO server (start it with a file)",
                    peer->cli);
    }
}
