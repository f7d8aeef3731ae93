#include "base/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum metrics_sum_rule { SUM, MIN, MAX };
enum metrics_unit { SECONDS, COUNT };

/* Edges are powers of two, where histograms are exact: 64 us to 64 s, and 1 to 16,384. */
#define SECONDS_FIRST_BIT 6
#define SECONDS_LAST_BIT 26
#define COUNT_FIRST_BIT 0
#define COUNT_LAST_BIT 14

struct metrics *metrics_create(void)
{
    struct metrics *metrics = aligned_alloc(_Alignof(struct metrics), sizeof *metrics);

    if (metrics == NULL) {
        abort();
    }
    return memset(metrics, 0, sizeof *metrics);
}

static int64_t metrics_combine(enum metrics_sum_rule rule, int64_t a, int64_t b)
{
    switch (rule) {
    case MIN:
        return a < b ? a : b;
    case MAX:
        return a > b ? a : b;
    case SUM:
        break;
    }
    return a + b;
}

void metrics_sum(struct metrics *into, struct metrics *const *workers, int count)
{
    memset(into, 0, sizeof *into);
    for (int i = 0; i < count; i++) {
        const struct metrics *from = workers[i];
        int64_t value;

#define METRICS_SUM_COUNTER(field, ...) metrics_add(&into->field, metrics_counter(&from->field));
        METRICS_COUNTERS(METRICS_SUM_COUNTER)
#undef METRICS_SUM_COUNTER
#define METRICS_SUM_GAUGE(field, rule, ...)                                                        \
    value = metrics_gauge(&from->field);                                                           \
    metrics_set(&into->field,                                                                      \
                i == 0 ? value : metrics_combine(rule, metrics_gauge(&into->field), value));
        METRICS_GAUGES(METRICS_SUM_GAUGE)
#undef METRICS_SUM_GAUGE
#define METRICS_SUM_HISTOGRAM(field, ...) histogram_merge(&into->field, &from->field);
        METRICS_HISTOGRAMS(METRICS_SUM_HISTOGRAM)
#undef METRICS_SUM_HISTOGRAM
    }
}

void metrics_each(const struct metrics *metrics,
                  void (*visit)(void *arg, const char *family, const char *labels, int64_t value),
                  void *arg)
{
#define METRICS_VISIT_COUNTER(field, family, labels, help)                                         \
    visit(arg, family, labels, (int64_t)metrics_counter(&metrics->field));
    METRICS_COUNTERS(METRICS_VISIT_COUNTER)
#undef METRICS_VISIT_COUNTER
#define METRICS_VISIT_GAUGE(field, rule, family, labels, help)                                     \
    visit(arg, family, labels, metrics_gauge(&metrics->field));
    METRICS_GAUGES(METRICS_VISIT_GAUGE)
#undef METRICS_VISIT_GAUGE
}

/* ------------------------------------------------------------------------------ rendering -- */

struct metrics_page {
    struct buffer *out;
    const char *family; /* the last one that was introduced */
};

static void metrics_introduce(struct metrics_page *page, const char *family, const char *suffix,
                              const char *type, const char *help)
{
    if (page->family != NULL && strcmp(page->family, family) == 0) {
        return;
    }
    page->family = family;
    buffer_printf(page->out, "# HELP ballast_%s%s %s\n# TYPE ballast_%s%s %s\n", family, suffix,
                  help, family, suffix, type);
}

static void metrics_render_value(struct metrics_page *page, const char *family, const char *suffix,
                                 const char *labels, int64_t value)
{
    bool bare = labels[0] == '\0';

    buffer_printf(page->out, "ballast_%s%s%s%s%s %" PRId64 "\n", family, suffix, bare ? "" : "{",
                  labels, bare ? "" : "}", value);
}

static void metrics_render_counter(struct metrics_page *page, const char *family,
                                   const char *labels, const char *help, uint64_t value)
{
    metrics_introduce(page, family, "_total", "counter", help);
    metrics_render_value(page, family, "_total", labels, (int64_t)value);
}

static void metrics_render_gauge(struct metrics_page *page, const char *family, const char *labels,
                                 const char *help, int64_t value)
{
    metrics_introduce(page, family, "", "gauge", help);
    metrics_render_value(page, family, "", labels, value);
}

static void metrics_render_histogram(struct metrics_page *page, enum metrics_unit unit,
                                     const char *family, const char *labels, const char *help,
                                     const struct histogram *histogram)
{
    const char *comma = labels[0] == '\0' ? "" : ",";
    int first = unit == SECONDS ? SECONDS_FIRST_BIT : COUNT_FIRST_BIT;
    int last = unit == SECONDS ? SECONDS_LAST_BIT : COUNT_LAST_BIT;
    double scale = unit == SECONDS ? 1e-6 : 1;
    uint64_t count = histogram_count(histogram);

    metrics_introduce(page, family, "", "histogram", help);
    for (int bit = first; bit <= last; bit++) {
        int64_t edge = (int64_t)1 << bit;

        buffer_printf(page->out, "ballast_%s_bucket{%s%sle=\"%.9g\"} %" PRIu64 "\n", family, labels,
                      comma, (double)edge * scale, histogram_count_up_to(histogram, edge));
    }
    buffer_printf(page->out, "ballast_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", family, labels,
                  comma, count);

    bool bare = labels[0] == '\0';

    buffer_printf(page->out, "ballast_%s_sum%s%s%s %.9g\n", family, bare ? "" : "{", labels,
                  bare ? "" : "}", (double)histogram_sum(histogram) * scale);
    buffer_printf(page->out, "ballast_%s_count%s%s%s %" PRIu64 "\n", family, bare ? "" : "{",
                  labels, bare ? "" : "}", count);
}

void metrics_render_prometheus(struct metrics *const *workers, int count, struct buffer *out)
{
    struct metrics_page page = {.out = out};
    struct metrics *all = metrics_create();

    metrics_sum(all, workers, count);
#define METRICS_RENDER_COUNTER(field, family, labels, help)                                        \
    metrics_render_counter(&page, family, labels, help, metrics_counter(&all->field));
    METRICS_COUNTERS(METRICS_RENDER_COUNTER)
#undef METRICS_RENDER_COUNTER
#define METRICS_RENDER_GAUGE(field, rule, family, labels, help)                                    \
    metrics_render_gauge(&page, family, labels, help, metrics_gauge(&all->field));
    METRICS_GAUGES(METRICS_RENDER_GAUGE)
#undef METRICS_RENDER_GAUGE
#define METRICS_RENDER_HISTOGRAM(field, unit, family, labels, help)                                \
    metrics_render_histogram(&page, unit, family, labels, help, &all->field);
    METRICS_HISTOGRAMS(METRICS_RENDER_HISTOGRAM)
#undef METRICS_RENDER_HISTOGRAM
    metrics_render_counter(&page, "log_lines_dropped", "", "Log lines that nobody took in time.",
                           log_dropped_count());
    metrics_render_gauge(&page, "workers", "", "Workers that these figures are the sum of.", count);
    free(all);
}
