/*
 * cluster.h: a private PostgreSQL for the tests of the store, with the schema in database
 * "ballast", on a free port of loopback and a Unix socket in its directory.
 *
 * cluster_create() makes it once a program, in the parent of all tests; each test's process starts
 * the server for itself with cluster_start(), so that it may kill it, and the server dies with it.
 */
#ifndef BALLAST_TEST_STORE_CLUSTER_H
#define BALLAST_TEST_STORE_CLUSTER_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "gen/sql.h"

static struct {
    char dir[64];
    char data[80];
    char bin[256];
    int port;
    pid_t server; /* of this process, 0: none */
    uid_t uid;    /* PostgreSQL refuses root */
    gid_t gid;
} cluster;

static inline void cluster_die(const char *what)
{
    fprintf(stderr, "cluster: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Runs a program of PostgreSQL under its user, its output going to DIR/log. */
static inline pid_t cluster_spawn(char *const argv[], bool dies_with_us)
{
    char path[512], log[128];
    pid_t pid = fork();
    int fd;

    if (pid != 0) {
        return pid;
    }
    snprintf(path, sizeof(path), "%s/%s", cluster.bin, argv[0]);
    snprintf(log, sizeof(log), "%s/log", cluster.dir);
    if (getuid() == 0 && (setgroups(0, NULL) || setgid(cluster.gid) || setuid(cluster.uid))) {
        _exit(126);
    }
    if (dies_with_us) {
        prctl(PR_SET_PDEATHSIG, SIGQUIT);
    }
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(fd, 1);
    dup2(fd, 2);
    execv(path, argv);
    _exit(127);
}

static inline void cluster_run(char *const argv[])
{
    int status = 0;
    pid_t pid = cluster_spawn(argv, false);

    if (waitpid(pid, &status, 0) != pid || status != 0) {
        cluster_die(argv[0]);
    }
}

static inline const char *cluster_conninfo(const char *rest)
{
    static char text[512];

    snprintf(text, sizeof(text), "host=127.0.0.1 port=%d user=postgres dbname=ballast %s",
             cluster.port, rest);
    return text;
}

static inline void cluster_ignore(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

static inline PGconn *cluster_connect(const char *rest)
{
    PGconn *conn = PQconnectdb(cluster_conninfo(rest));

    if (PQstatus(conn) != CONNECTION_OK) {
        fprintf(stderr, "cluster: %s", PQerrorMessage(conn));
        exit(1);
    }
    PQsetNoticeReceiver(conn, cluster_ignore, NULL);
    return conn;
}

static inline void cluster_exec_on(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fprintf(stderr, "cluster: %s: %s", sql, PQerrorMessage(conn));
        exit(1);
    }
    PQclear(result);
}

/* One statement as superuser in database "ballast" (another one: dbname=...). */
static inline void cluster_exec(const char *rest, const char *sql)
{
    PGconn *conn = cluster_connect(rest);

    cluster_exec_on(conn, sql);
    PQfinish(conn);
}

/* One number. */
static inline long cluster_ask(const char *sql)
{
    PGconn *conn = cluster_connect("");
    PGresult *result = PQexec(conn, sql);
    long value;

    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        fprintf(stderr, "cluster: %s: %s", sql, PQerrorMessage(conn));
        exit(1);
    }
    value = atol(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(conn);
    return value;
}

/* Returns once it takes connections. The server of a test that was aborted may still be ending:
 * until then a new one ends at once, and is started again. */
static inline void cluster_start(void)
{
    char *argv[] = {"postgres", "-D", cluster.data, NULL};
    int64_t deadline = clock_boot_us() + 30 * 1000000;

    cluster.server = cluster_spawn(argv, true);
    while (PQping(cluster_conninfo("")) != PQPING_OK) {
        if (clock_boot_us() > deadline) {
            cluster_die("the server does not start, see its log");
        }
        poll(NULL, 0, 10);
        if (waitpid(cluster.server, NULL, WNOHANG) != 0) {
            cluster.server = cluster_spawn(argv, true);
        }
    }
}

/* SIGINT: fast; SIGQUIT: immediate. */
static inline void cluster_stop(int how)
{
    kill(cluster.server, how);
    waitpid(cluster.server, NULL, 0);
    cluster.server = 0;
}

static inline int cluster_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, len) ||
        getsockname(fd, (struct sockaddr *)&address, &len)) {
        cluster_die("no free port");
    }
    close(fd);
    return ntohs(address.sin_port);
}

static inline void cluster_append(const char *file, const char *mode, const char *text)
{
    char path[160];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s", cluster.data, file);
    out = fopen(path, mode);
    if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0) {
        cluster_die(path);
    }
}

static inline void cluster_migrate(void)
{
    PGconn *conn = cluster_connect("");

    cluster_exec_on(conn, sql_migration_table);
    for (int i = 0; i < sql_migrations_count; i++) {
        char insert[256];

        snprintf(insert, sizeof(insert),
                 "INSERT INTO ballast.migration (version, name) VALUES (%d, '%s')",
                 sql_migrations[i].version, sql_migrations[i].name);
        cluster_exec_on(conn, "BEGIN");
        cluster_exec_on(conn, sql_migrations[i].text);
        cluster_exec_on(conn, insert);
        cluster_exec_on(conn, "COMMIT");
    }
    PQfinish(conn);
}

static inline void cluster_find_bin(void)
{
    FILE *pipe = popen("ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1", "r");
    bool found = pipe != NULL && fgets(cluster.bin, sizeof(cluster.bin), pipe) != NULL;

    if (pipe != NULL) {
        pclose(pipe);
    }
    if (!found) {
        cluster_die("no PostgreSQL server is installed");
    }
    cluster.bin[strcspn(cluster.bin, "\n")] = '\0';
}

/* A key and a certificate that nobody has to trust, where the server looks for them. */
static inline void cluster_write_certificate(void)
{
    char key_path[128], certificate_path[128];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    FILE *key_file, *certificate_file;

    snprintf(key_path, sizeof(key_path), "%s/server.key", cluster.data);
    snprintf(certificate_path, sizeof(certificate_path), "%s/server.crt", cluster.data);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
    X509_set_pubkey(certificate, key);
    key_file = fopen(key_path, "w");
    certificate_file = fopen(certificate_path, "w");
    if (X509_sign(certificate, key, EVP_sha256()) == 0 || key_file == NULL ||
        certificate_file == NULL || !PEM_write_X509(certificate_file, certificate) ||
        !PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) ||
        fchmod(fileno(key_file), 0600) != 0 ||
        (getuid() == 0 && fchown(fileno(key_file), cluster.uid, cluster.gid) != 0)) {
        cluster_die("certificate");
    }
    fclose(key_file);
    fclose(certificate_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Whoever is "secret" needs a password, everyone else none. */
static inline void cluster_create(void)
{
    char *initdb[] = {"initdb", "-N",   "-A",         "trust", "-U",         "postgres",
                      "-E",     "UTF8", "--locale=C", "-D",    cluster.data, NULL};
    struct passwd *user = getpwnam("postgres");
    char settings[512];

    cluster_find_bin();
    snprintf(cluster.dir, sizeof(cluster.dir), "/tmp/ballast-store-XXXXXX");
    if (mkdtemp(cluster.dir) == NULL) {
        cluster_die(cluster.dir);
    }
    snprintf(cluster.data, sizeof(cluster.data), "%s/data", cluster.dir);
    if (getuid() == 0) {
        if (user == NULL) {
            cluster_die("no user postgres");
        }
        cluster.uid = user->pw_uid;
        cluster.gid = user->pw_gid;
        if (chown(cluster.dir, cluster.uid, cluster.gid) != 0) {
            cluster_die(cluster.dir);
        }
    }
    cluster_run(initdb);
    cluster_write_certificate();
    cluster.port = cluster_free_port();
    snprintf(settings, sizeof(settings),
             "port = %d\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n"
             "max_connections = 30\nshared_buffers = 16MB\nautovacuum = off\nssl = on\n"
             "log_line_prefix = '%%m [%%p] %%a '\n",
             cluster.port, cluster.dir);
    cluster_append("postgresql.conf", "a", settings);
    cluster_append("pg_hba.conf", "w",
                   "host all secret 127.0.0.1/32 scram-sha-256\n"
                   "host all all 127.0.0.1/32 trust\n"
                   "local all all trust\n");
    cluster_start();
    cluster_exec("dbname=postgres", "CREATE DATABASE ballast");
    cluster_migrate();
    cluster_exec("", "CREATE ROLE secret LOGIN PASSWORD 'right' IN ROLE ballast_daemon");
    cluster_stop(SIGINT);
}

/* With CLUSTER_KEEP set its directory stays, with the server's log. */
static inline void cluster_destroy(void)
{
    pid_t pid;

    if (getenv("CLUSTER_KEEP") != NULL) {
        fprintf(stderr, "cluster: kept in %s\n", cluster.dir);
        return;
    }
    pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", cluster.dir, NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

#endif
