/* Configuration: every option, every error with its line, reload. */
#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static char directory[] = "/tmp/ballast-test-XXXXXX";
static char path[64];
static char err[512];

static void write_file(const char *name, const char *text)
{
    char full[128];

    snprintf(full, sizeof full, "%s/%s", directory, name);

    FILE *file = fopen(full, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void write_config(const char *text)
{
    if (path[0] == '\0') {
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/x.conf", directory);
    }
    write_file("x.conf", text);
}

static void clean(void)
{
    static const char *const names[] = {"x.conf", "a.secret", "b.secret"};
    char full[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(full, sizeof full, "%s/%s", directory, names[i]);
        unlink(full);
    }
    rmdir(directory);
}

static struct config *load(const char *text)
{
    struct config *config;

    write_config(text);
    config = config_load(path, err, sizeof err);
    ck_assert_msg(config != NULL, "%s: %s", text, err);
    return config;
}

/* The file is refused in this line (0: as a whole), with this text in the message. */
static void refused(const char *text, int line, const char *part)
{
    char place[128];

    write_config(text);
    err[0] = '\0';
    ck_assert_msg(config_load(path, err, sizeof err) == NULL, "%s", text);
    if (line > 0) {
        snprintf(place, sizeof place, "%s:%d: ", path, line);
    } else {
        snprintf(place, sizeof place, "%s: ", path);
    }
    ck_assert_msg(strncmp(err, place, strlen(place)) == 0, "%s: %s", text, err);
    ck_assert_msg(strstr(err, part) != NULL, "%s: %s", text, err);
    ck_assert_ptr_null(strchr(err, '\n'));
}

static const char *value(const struct config *config, const char *name)
{
    static char text[256];
    const struct config_option *option = config_option_find(name);

    ck_assert_msg(option != NULL, "%s", name);
    config_value_text(config, (size_t)(option - config_option_at(0)), text, sizeof text);
    return text;
}

START_TEST(table_is_sorted_and_found)
{
    for (size_t i = 0; i < config_option_count(); i++) {
        ck_assert_ptr_eq(config_option_find(config_option_at(i)->name), config_option_at(i));
        if (i > 0) {
            ck_assert_int_lt(strcmp(config_option_at(i - 1)->name, config_option_at(i)->name), 0);
        }
    }
    ck_assert_ptr_null(config_option_find("limits.nothing"));
}
END_TEST

START_TEST(defaults_hold_without_a_file)
{
    struct config *config = config_load(NULL, err, sizeof err);

    ck_assert_ptr_nonnull(config);
    ck_assert_uint_eq(config->listen.addresses.count, 1);
    ck_assert_str_eq(value(config, "listen.address"), "127.0.0.1:6480");
    ck_assert_str_eq(value(config, "listen.http"), "127.0.0.1:6481");
    ck_assert_str_eq(value(config, "listen.unix-mode"), "0770");
    ck_assert_int_eq(config->limits.request_timeout_ms, 5000);
    ck_assert_int_eq(config->limits.bulk_bytes, 65536);
    ck_assert_str_eq(config->cache.prefix, "bal:");
    ck_assert_str_eq(config->cache.password, "");
    ck_assert_int_eq(config->log.level, LOG_LEVEL_INFO);
    ck_assert(!config->store.allow_fsync_off);
    config_free(config);
    config_free(NULL);
}
END_TEST

START_TEST(every_type_is_read)
{
    struct config *config = load("# comment\n; another\n\n[listen]\r\n"
                                 "address = 127.0.0.1:1   ; first\n"
                                 "  address=[::1]:2\n"
                                 "unix = /tmp/x.sock\nunix-mode = 700\nhttp = off\nworkers = 16\n"
                                 "[store]\nconninfo = host=/x dbname='a b' password=s#cret\n"
                                 "allow-fsync-off = YES\n"
                                 "[cache]\naddress = /run/redis.sock\nprefix = t:\n"
                                 "when-cut-off = aside\nlease-ms = 2s\n"
                                 "[limits]\nrequest-timeout-ms = 1m\nidle-timeout-ms = 2H\n"
                                 "bulk-bytes = 1MB\noutput-buffer-bytes = 2gb\nclients = 7\n"
                                 "[log]\nlevel = debug\nfile = /tmp/x.log\n[limits]\nclients = 8");

    ck_assert_str_eq(value(config, "listen.address"), "127.0.0.1:1, [::1]:2");
    ck_assert_int_eq(config->listen.http.kind, ADDRESS_NONE);
    ck_assert_int_eq(config->listen.unix_mode, 0700);
    ck_assert_str_eq(config->listen.unix_path, "/tmp/x.sock");
    ck_assert_str_eq(config->store.conninfo, "host=/x dbname='a b' password=s#cret");
    ck_assert(config->store.allow_fsync_off);
    ck_assert_int_eq(config->cache.address.kind, ADDRESS_UNIX);
    ck_assert_int_eq(config->cache.when_cut_off, CONFIG_CUT_OFF_ASIDE);
    ck_assert_int_eq(config->cache.lease_ms, 2000);
    ck_assert_int_eq(config->limits.request_timeout_ms, 60000);
    ck_assert_int_eq(config->limits.idle_timeout_ms, 7200000);
    ck_assert_int_eq(config->limits.bulk_bytes, 1 << 20);
    ck_assert_int_eq(config->limits.output_buffer_bytes, (int64_t)2 << 30);
    ck_assert_int_eq(config->limits.clients, 8);
    ck_assert_int_eq(config->log.level, LOG_LEVEL_DEBUG);
    config_free(config);
    clean();
}
END_TEST

START_TEST(lists_begin_anew_in_a_later_section)
{
    struct config *config = load("[listen]\naddress = 127.0.0.1:1\naddress = 127.0.0.1:2\n"
                                 "[log]\n[listen]\nworkers = 2\n"
                                 "[listen]\naddress = 127.0.0.1:3\n");

    ck_assert_str_eq(value(config, "listen.address"), "127.0.0.1:3");
    config_free(config);
    config = load("[listen]\naddress = off\nunix = /tmp/x\n");
    ck_assert_uint_eq(config->listen.addresses.count, 0);
    config_free(config);
    clean();
}
END_TEST

START_TEST(every_error_has_its_line)
{
    refused("[limits]\n\nclient = 5\n", 3, "unknown option 'client' in [limits]");
    refused("[limit]\nclients = 5\n", 2, "unknown section [limit]");
    refused("clients = 5\n", 1, "before the first [section]");
    refused("[limits]\nclients\n", 2, "expected");
    refused("[limits\nclients = 5\n", 1, "expected");
    refused("[limits]\nclients = five\n", 2, "clients: expected a number, not 'five'");
    refused("[limits]\nclients = 5k\n", 2, "expected a number");
    refused("[limits]\nclients =\n", 2, "expected a number");
    refused("[limits]\nclients = 0\n", 2, "must be from 1 to");
    refused("[limits]\nclients = -1\n", 2, "must be from 1 to");
    refused("[limits]\nclients = 99999999999999999999999\n", 2, "must be from 1 to");
    refused("[limits]\nrequest-timeout-ms = 5x\n", 2, "unknown unit 'x': use ms, s, m or h");
    refused("[limits]\nrequest-timeout-ms = 5 s\n", 2, "unknown unit");
    refused("[limits]\nrequest-timeout-ms = 1.5s\n", 2, "unknown unit");
    refused("[limits]\nrequest-timeout-ms = s\n", 2, "expected a number");
    refused("[limits]\nrequest-timeout-ms = 9223372036854775807h\n", 2, "must be from");
    refused("[limits]\nbulk-bytes = 5s\n", 2, "unknown unit 's': use b, kb, mb or gb");
    refused("[limits]\nargs = 10\n", 2, "must be from");
    refused("[listen]\nunix-mode = 0888\n", 2, "octal");
    refused("[listen]\nunix-mode = 7777\n", 2, "octal");
    refused("[listen]\nunix = x.sock\n", 2, "absolute");
    refused("[listen]\naddress = localhost:1\n", 2, "not a name");
    refused("[listen]\naddress = /tmp/x\n", 2, "unix");
    refused("[listen]\nhttp = /tmp/x\n", 2, "IP:PORT");
    refused("[listen]\naddress = off\n", 2, "neither");
    refused("[listen]\nworkers = 17\n", 2, "must be from 1 to 16");
    refused("[store]\nallow-fsync-off = maybe\n", 2, "yes or no");
    refused("[cache]\naddress = off\n", 2, "address");
    refused("[cache]\nprefix =\n", 2, "must be 1 to 64");
    refused("[cache]\nprefix = a b\n", 2, "printable");
    refused("[cache]\nwhen-cut-off = panic\n", 2, "'panic' is none of drain, aside");
    refused("[cache]\nlease-ms = 100\npublish-timeout-ms = 100\n", 3, "less than lease-ms");
    refused("[limits]\nqueue = 10\n", 2, "at least one batch");
    refused("[log]\nlevel = loud\n", 2, "none of debug, info, warn, error");
    clean();
}
END_TEST

START_TEST(odd_files_are_refused)
{
    static char text[6000];

    strcpy(text, "[store]\nconninfo = ");
    memset(text + strlen(text), 'x', 4500);
    refused(text, 2, "longer than");
    strcpy(text, "[store]\nconninfo = ");
    memset(text + 19, 'x', 3900);
    text[19 + 3900] = '\0';

    struct config *config = load(text);

    ck_assert_uint_eq(strlen(config->store.conninfo), 3900);
    config_free(config);

    FILE *file = fopen(path, "w");

    fwrite("[log]\nlevel = in\0fo\n", 1, 20, file);
    fclose(file);
    ck_assert_ptr_null(config_load(path, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, ":2: there is a NUL byte"));
    ck_assert_ptr_null(config_load("/nonexistent/x.conf", err, sizeof err));
    ck_assert_str_eq(err, "/nonexistent/x.conf: cannot open it: No such file or directory");
    ck_assert_ptr_null(config_load("/tmp", err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "directory"));
    clean();
}
END_TEST

START_TEST(open_addresses_need_a_user)
{
    struct config *config;

    refused("[listen]\naddress = 127.0.0.1:1\naddress = 0.0.0.0:6480\n", 3, "refused without");
    refused("[listen]\nhttp = [::]:6481\n", 2, "refused without");
    write_file("a.secret", "hush\n");
    config = load("[listen]\naddress = 0.0.0.0:6480\n[auth]\nuser = app write a.secret\n");
    ck_assert_uint_eq(config->auth.users.count, 1);
    config_free(config);
    clean();
}
END_TEST

START_TEST(users_have_roles_and_secrets)
{
    write_config("");
    write_file("a.secret", "hush hush\r\n");
    write_file("b.secret", "other");

    struct config *config = load("[auth]\nuser = app read b.secret\nuser = ops ADMIN b.secret\n"
                                 "user = app  write\ta.secret\n");
    const struct config_user *user = config_user_find(config, "app!", 3);

    ck_assert_uint_eq(config->auth.users.count, 2);
    ck_assert_ptr_nonnull(user);
    ck_assert_int_eq(user->role, CONFIG_ROLE_WRITE);
    ck_assert_str_eq(user->password, "hush hush");
    ck_assert_str_eq(config_user_find(config, "ops", 3)->password, "other");
    ck_assert_ptr_null(config_user_find(config, "op", 2));
    ck_assert_str_eq(value(config, "auth.user"), "app write, ops admin");
    config_free(config);

    refused("[auth]\nuser = app\n", 2, "NAME ROLE PASSWORD-FILE");
    refused("[auth]\nuser = app read\n", 2, "NAME ROLE PASSWORD-FILE");
    refused("[auth]\nuser = a/b read a.secret\n", 2, "a name is");
    refused("[auth]\nuser = app king a.secret\n", 2, "'king' is none of");
    refused("[auth]\nuser = app read none.secret\n", 2, "none.secret: No such file");
    write_file("b.secret", "\n");
    refused("[auth]\n\nuser = app read b.secret\n", 3, "the file is empty");
    write_file("b.secret", "two\nlines\n");
    refused("[auth]\nuser = app read b.secret\n", 2, "one line");
    refused("[cache]\npassword-file = b.secret\n", 2, "one line");
    clean();
}
END_TEST

START_TEST(secrets_come_from_file_or_environment)
{
    struct config *config;

    setenv("BALLAST_CACHE_PASSWORD", "from-environment", 1);
    config = load("");
    ck_assert_str_eq(config->cache.password, "from-environment");
    ck_assert_str_eq(config->store.password, "");
    config_free(config);
    write_file("a.secret", "from-file\n");
    config = load("[cache]\npassword-file = a.secret\n");
    ck_assert_str_eq(config->cache.password, "from-file");
    config_free(config);
    clean();
}
END_TEST

START_TEST(long_secrets_are_taken_up_to_the_limit)
{
    static char secret[LIMIT_SECRET_BYTES_MAX + 2];
    char full[128];
    const char *wrong = NULL;

    write_config("");
    snprintf(full, sizeof full, "%s/a.secret", directory);
    memset(secret, 's', LIMIT_SECRET_BYTES_MAX);
    strcpy(secret + LIMIT_SECRET_BYTES_MAX, "\n");
    write_file("a.secret", secret);

    char *read = config_read_secret(full, &wrong);

    ck_assert_ptr_nonnull(read);
    ck_assert_uint_eq(strlen(read), LIMIT_SECRET_BYTES_MAX);
    free(read);
    secret[LIMIT_SECRET_BYTES_MAX] = 's';
    write_file("a.secret", secret);
    ck_assert_ptr_null(config_read_secret(full, &wrong));
    ck_assert_str_eq(wrong, "the secret is too long");
    clean();
}
END_TEST

START_TEST(passwords_in_a_conninfo_are_not_shown)
{
    static const char *const pairs[][2] = {
        {"host=/x password=abc dbname=d", "host=/x password=*** dbname=d"},
        {"password = 'a b\\'c' user=u", "password = *** user=u"},
        {"sslpassword=x password=", "sslpassword=*** password=***"},
        {"dbname=password", "dbname=password"},
        {"postgresql://u:p@w@[::1]:5432/d?password=x&a=b",
         "postgresql://u:***@[::1]:5432/d?password=***&a=b"},
        {"postgres://u@h:5432/d", "postgres://u@h:5432/d"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[256];

        snprintf(text, sizeof text, "[store]\nconninfo = %s\n", pairs[i][0]);

        struct config *config = load(text);

        ck_assert_str_eq(value(config, "store.conninfo"), pairs[i][1]);
        config_free(config);
    }
    clean();
}
END_TEST

START_TEST(values_are_cut_where_they_do_not_fit)
{
    struct config *config = config_load(NULL, err, sizeof err);
    size_t index = (size_t)(config_option_find("listen.address") - config_option_at(0));
    char text[6];

    ck_assert_uint_eq(config_value_text(config, index, text, sizeof text), 14);
    ck_assert_str_eq(text, "127.0");
    ck_assert_uint_eq(config_value_text(config, index, NULL, 0), 14);
    config_free(config);
}
END_TEST

START_TEST(reload_takes_over_what_it_may)
{
    struct config *running = load("[limits]\nclients = 5\nbatch = 10\n[store]\nconninfo = a=b\n");
    char pending[256];

    write_config("[limits]\nclients = 6\nbatch = 20\n[listen]\naddress = 127.0.0.1:1\n"
                 "[log]\nlevel = warn\n");

    struct config *config = config_reload(running, pending, sizeof pending, err, sizeof err);

    ck_assert_msg(config != NULL, "%s", err);
    ck_assert_str_eq(pending, "limits.batch listen.address store.conninfo");
    ck_assert_int_eq(config->limits.clients, 6);
    ck_assert_int_eq(config->limits.batch, 10);
    ck_assert_int_eq(config->log.level, LOG_LEVEL_WARN);
    ck_assert_str_eq(config->store.conninfo, "a=b");
    ck_assert_str_eq(value(config, "listen.address"), "127.0.0.1:6480");
    config_free(config);

    char small[20];

    config = config_reload(running, small, sizeof small, err, sizeof err);
    ck_assert_str_eq(small, "limits.batch ...");
    config_free(config);

    write_config("[limits]\nclients = six\n");
    ck_assert_ptr_null(config_reload(running, pending, sizeof pending, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, ":2: clients"));
    config_free(running);
    clean();
}
END_TEST

/* Users go, and an address that needs them would stay until the restart. */
START_TEST(reload_never_opens_an_address)
{
    char pending[256];

    write_config("");
    write_file("a.secret", "x");

    struct config *running =
        load("[listen]\naddress = 0.0.0.0:6480\n[auth]\nuser = app write a.secret\n");

    write_config("");
    ck_assert_ptr_null(config_reload(running, pending, sizeof pending, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "refused without"));
    config_free(running);
    clean();
}
END_TEST

UNIT_MAIN("config", table_is_sorted_and_found, defaults_hold_without_a_file, every_type_is_read,
          lists_begin_anew_in_a_later_section, every_error_has_its_line, odd_files_are_refused,
          open_addresses_need_a_user, users_have_roles_and_secrets,
          secrets_come_from_file_or_environment, long_secrets_are_taken_up_to_the_limit,
          passwords_in_a_conninfo_are_not_shown, values_are_cut_where_they_do_not_fit,
          reload_takes_over_what_it_may, reload_never_opens_an_address)
