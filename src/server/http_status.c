/* /status.json and the status page. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/json.h"
#include "server/daemon.h"
#include "server/http_pages.h"

static int64_t uptime_s(const struct server *server)
{
    return (clock_boot_us() - server->started_us) / 1000000;
}

static int64_t lease_left_ms(const struct trust_status *trust)
{
    int64_t left_us = trust->valid_until_us - clock_boot_us();
    return left_us > 0 ? left_us / 1000 : 0;
}

/* --- JSON -------------------------------------------------------------------------------------*/

/* What stands inside the object has no schema of its own: whoever writes it opens it with its first
 * member, into text, and closes it here. */
static void json_inner(struct json *json, const char *name, struct buffer *text, char close)
{
    buffer_append_byte(text, close);
    buffer_append_byte(text, '\0');
    json_raw(json, name, text->data);
    buffer_free(text);
}

static void ability_json(struct json *json, const struct ability *ability)
{
    struct buffer text = BUFFER_EMPTY;
    struct json inner = {&text};

    buffer_printf(&text, "{\"ok\":%s", ability->ok ? "true" : "false");
    json_text(&inner, "why", ability->why);
    json_inner(json, ability->name, &text, '}');
}

static void health_json(struct server *server, struct json *json)
{
    struct buffer text = BUFFER_EMPTY;
    struct json inner = {&text};
    struct health health;

    board_read_health(server->board, &health);
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        const struct health_item *item = &health.parts[part];
        buffer_printf(&text, "%c\"%s\":{\"since_ms\":%lld", part == 0 ? '{' : ',',
                      health_part_name(part),
                      (long long)((clock_boot_us() - item->since_us) / 1000));
        json_text(&inner, "state", health_state_name(item->state));
        json_text(&inner, "cause", item->cause);
        json_text(&inner, "action", item->action);
        buffer_append_byte(&text, '}');
    }
    json_inner(json, "health", &text, '}');
}

static void trust_json(struct json *json, const struct control_status *control)
{
    const struct trust_status *trust = &control->trust;
    struct buffer text = BUFFER_EMPTY;
    struct json inner = {&text};

    buffer_printf(&text, "{\"era\":%" PRIu64, trust->era);
    json_text(&inner, "phase", trust_phase_name(trust->phase));
    json_text(&inner, "why", trust->why);
    json_int(&inner, "since_ms", (clock_boot_us() - trust->since_us) / 1000);
    json_int(&inner, "lease_left_ms", lease_left_ms(trust));
    json_text(&inner, "daemon", control->daemon);
    json_int(&inner, "leases", (int64_t)trust->leases);
    json_int(&inner, "opened", (int64_t)trust->opened);
    json_int(&inner, "closed", (int64_t)trust->closed);
    json_int(&inner, "adopted", (int64_t)trust->adopted);
    json_bool(&inner, "store_up", control->store_up);
    json_text(&inner, "store_why", control->store_why);
    json_bool(&inner, "cache_up", control->cache_up);
    json_text(&inner, "cache_why", control->cache_why);
    json_inner(json, "trust", &text, '}');
}

static void warmer_json(struct server *server, struct json *json)
{
    struct buffer text = BUFFER_EMPTY;
    struct json inner = {&text};
    struct warmer_status warmer;

    server_warmer_status(server, &warmer);
    buffer_printf(&text, "{\"warming\":%s", warmer.running ? "true" : "false");
    json_int(&inner, "accounts", (int64_t)warmer.accounts);
    json_int(&inner, "accounts_about", (int64_t)warmer.estimate);
    json_int(&inner, "percent", warmer.percent);
    json_int(&inner, "written", (int64_t)warmer.written);
    json_inner(json, "warm", &text, '}');
}

static void worker_json(struct server *server, int index, struct buffer *out)
{
    struct engine_status status;
    struct json json = {out};

    board_read_engine(server->board, index, &status);
    buffer_printf(out, "%s{\"worker\":%d", index > 0 ? "," : "", index);
    json_int(&json, "clients", metrics_gauge(&server->metrics[index]->clients));
    json_bool(&json, "writer_up", status.writer_up);
    json_bool(&json, "reader_up", status.reader_up);
    json_text(&json, "store_why", status.store_why);
    json_bool(&json, "cache_up", status.cache_up);
    json_text(&json, "cache_why", status.cache_why);
    json_text(&json, "refusal", status.refusal);
    json_int(&json, "writes_queued", (int64_t)status.writes_queued);
    json_int(&json, "writes_in_flight", (int64_t)status.writes_in_flight);
    json_int(&json, "writes_in_doubt", (int64_t)status.writes_in_doubt);
    json_int(&json, "oldest_doubt_ms", status.oldest_doubt_us / 1000);
    json_int(&json, "reads_waiting", (int64_t)status.reads_waiting);
    buffer_append_byte(out, '}');
}

/* One member a metric, named as in /metrics without the prefix: family{labels}. */
static void metric_json(void *arg, const char *family, const char *labels, int64_t value)
{
    struct json *json = arg;
    char name[160];

    snprintf(name, sizeof name, labels[0] != '\0' ? "%s{%s}" : "%s%s", family, labels);
    json_int(json, name, value);
}

static struct metrics *metrics_total(const struct server *server)
{
    struct metrics *total = metrics_create();

    metrics_sum(total, server->metrics, server->worker_count);
    return total;
}

void page_status_json(struct server *server, struct buffer *out)
{
    struct buffer text = BUFFER_EMPTY;
    struct json json, inner = {&text};
    struct readiness readiness;
    struct control_status control;

    server_readiness(server, &readiness);
    control_status(server->control, &control);
    json_begin(&json, out);
    json_text(&json, "version", BALLAST_VERSION);
    json_int(&json, "pid", getpid());
    json_int(&json, "uptime_s", uptime_s(server));
    json_bool(&json, "stopping", server->stopping);
    json_bool(&json, "ready", readiness.ready);
    ability_json(&json, &readiness.reads);
    ability_json(&json, &readiness.writes);
    ability_json(&json, &readiness.cache);
    health_json(server, &json);
    trust_json(&json, &control);
    warmer_json(server, &json);

    buffer_append_byte(&text, '[');
    for (int i = 0; i < server->worker_count; i++) {
        worker_json(server, i, &text);
    }
    json_inner(&json, "workers", &text, ']');

    struct metrics *total = metrics_total(server);
    buffer_printf(&text, "{\"tail_published\":%" PRIu64, control.tail.published);
    metrics_each(total, metric_json, &inner);
    json_inner(&json, "metrics", &text, '}');
    free(total);
    json_end(&json);
}

/* --- HTML -------------------------------------------------------------------------------------*/

static void html_text(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            buffer_append_text(out, "&lt;");
            break;
        case '>':
            buffer_append_text(out, "&gt;");
            break;
        case '&':
            buffer_append_text(out, "&amp;");
            break;
        case '"':
            buffer_append_text(out, "&quot;");
            break;
        default:
            buffer_append_byte(out, *text);
        }
    }
}

static void ability_html(const struct ability *ability, struct buffer *out)
{
    buffer_printf(out, "<tr><th scope=row>%s<td class=%s>%s<td>", ability->name,
                  ability->ok ? "ok" : "bad", ability->ok ? "ok" : "failed");
    html_text(out, ability->why);
    buffer_append_text(out, "\n");
}

static void health_html(struct server *server, struct buffer *out)
{
    struct health health;

    board_read_health(server->board, &health);
    buffer_append_text(out, "<h2>Health</h2>\n<table>\n<tr><th>part<th>state<th>since<th>cause"
                            "<th>what is done about it\n");
    for (enum health_part part = 0; part < HEALTH_PARTS; part++) {
        const struct health_item *item = &health.parts[part];
        buffer_printf(out, "<tr><th scope=row>%s<td class=%s>%s<td>%.1f s<td>",
                      health_part_name(part), item->state == HEALTH_OK ? "ok" : "bad",
                      health_state_name(item->state),
                      (double)(clock_boot_us() - item->since_us) / 1e6);
        html_text(out, item->cause);
        buffer_printf(out, "<td>%s\n", item->action);
    }
    buffer_append_text(out, "</table>\n");
}

static void trust_html(struct server *server, const struct control_status *control,
                       struct buffer *out)
{
    const struct trust_status *trust = &control->trust;
    struct warmer_status warmer;

    buffer_printf(out,
                  "<h2>Trust in the cache</h2>\n<table>\n<tr><th scope=row>phase<td>%s\n"
                  "<tr><th scope=row>era<td>%" PRIu64 "\n<tr><th scope=row>lease<td>%lld ms left\n"
                  "<tr><th scope=row>daemons<td>%zu\n<tr><th scope=row>waits for<td>",
                  trust_phase_name(trust->phase), trust->era, (long long)lease_left_ms(trust),
                  trust->leases);
    html_text(out, trust->why);
    server_warmer_status(server, &warmer);
    buffer_printf(out, "\n<tr><th scope=row>warm<td>%d %%%s\n</table>\n", warmer.percent,
                  warmer.running ? ", being filled" : "");
}

static void workers_html(struct server *server, struct buffer *out)
{
    buffer_append_text(out, "<h2>Workers</h2>\n<table>\n<tr><th>worker<th>clients<th>posts to store"
                            "<th>reads from store<th>cache<th>queued<th>in flight<th>in doubt"
                            "<th>reads waiting<th>why\n");
    for (int i = 0; i < server->worker_count; i++) {
        struct engine_status status;
        board_read_engine(server->board, i, &status);
        buffer_printf(out,
                      "<tr><td>%d<td>%lld<td class=%s>%s<td class=%s>%s<td class=%s>%s<td>%zu"
                      "<td>%zu<td>%zu<td>%zu<td>",
                      i, (long long)metrics_gauge(&server->metrics[i]->clients),
                      status.writer_up ? "ok" : "bad", status.writer_up ? "up" : "down",
                      status.reader_up ? "ok" : "bad", status.reader_up ? "up" : "down",
                      status.cache_up ? "ok" : "bad", status.cache_up ? "up" : "down",
                      status.writes_queued, status.writes_in_flight, status.writes_in_doubt,
                      status.reads_waiting);
        html_text(out, status.store_why);
        buffer_append_text(out, " ");
        html_text(out, status.cache_why);
        buffer_append_text(out, " ");
        html_text(out, status.refusal);
        buffer_append_text(out, "\n");
    }
    buffer_append_text(out, "</table>\n");
}

static void metric_html(void *arg, const char *family, const char *labels, int64_t value)
{
    struct buffer *out = arg;

    buffer_printf(out, "<tr><th scope=row>%s<td>", family);
    html_text(out, labels);
    buffer_printf(out, "<td class=number>%lld\n", (long long)value);
}

/* Fetches the page itself and takes its <main> over: there is one rendering, the server's. */
const char page_status_script[] =
    "setInterval(async () => {\n"
    "    const main = document.querySelector('main');\n"
    "    try {\n"
    "        const text = await (await fetch('/', {cache: 'no-store'})).text();\n"
    "        const open = main.querySelector('details').open;\n"
    "        const page = new DOMParser().parseFromString(text, 'text/html');\n"
    "        const fresh = page.querySelector('main');\n"
    "        fresh.querySelector('details').open = open;\n"
    "        main.replaceWith(fresh);\n"
    "    } catch {\n"
    "        main.classList.add('lost');\n"
    "    }\n"
    "}, 2000);\n";

static const char page_head[] =
    "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n"
    "<meta name=viewport content=\"width=device-width\">\n<title>Ballast</title>\n<style>\n"
    "body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }\n"
    "table { border-collapse: collapse }\n"
    "th, td { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }\n"
    ".ok { color: #176b2c } .bad { color: #b00020; font-weight: bold }\n"
    ".number { text-align: right } .lost { opacity: .4 }\n"
    "@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 }\n"
    "    .ok { color: #6c9 } .bad { color: #f77 } a { color: #9cf } }\n"
    "</style>\n<script src=/status.js defer></script>\n";

void page_status_html(struct server *server, struct buffer *out)
{
    struct readiness readiness;
    struct control_status control;
    struct metrics *total = metrics_total(server);

    server_readiness(server, &readiness);
    control_status(server->control, &control);
    buffer_append_text(out, page_head);
    buffer_printf(out,
                  "<main>\n<h1>Ballast %s: <span class=%s>%s</span></h1>\n"
                  "<p>pid %d, up %lld s, %d workers, ",
                  BALLAST_VERSION, readiness.ready ? "ok" : "bad",
                  readiness.ready ? "ready" : "not ready", (int)getpid(),
                  (long long)uptime_s(server), server->worker_count);
    html_text(out, control.daemon);
    buffer_append_text(out, "</p>\n<h2>Serves</h2>\n<table>\n");
    ability_html(&readiness.reads, out);
    ability_html(&readiness.writes, out);
    ability_html(&readiness.cache, out);
    buffer_append_text(out, "</table>\n");
    health_html(server, out);
    trust_html(server, &control, out);
    workers_html(server, out);
    buffer_append_text(out, "<details>\n<summary>Counters</summary>\n<table>\n");
    metrics_each(total, metric_html, out);
    buffer_append_text(out, "</table>\n</details>\n<p><a href=/status.json>status.json</a> "
                            "<a href=/metrics>metrics</a> "
                            "<a href=\"/readyz?verbose\">readyz</a></p>\n</main>\n");
    free(total);
}
