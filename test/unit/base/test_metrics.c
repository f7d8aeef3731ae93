/* Metrics: sums over workers, and the text that Prometheus reads. */
#include "base/metrics.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct metrics *workers[2];

static char *render(void)
{
    struct buffer out = BUFFER_EMPTY;
    char *text;

    metrics_render_prometheus(workers, 2, &out);
    text = strndup(out.data, out.len);
    buffer_free(&out);
    return text;
}

static void create(void)
{
    workers[0] = metrics_create();
    workers[1] = metrics_create();
}

static void destroy(void)
{
    free(workers[0]);
    free(workers[1]);
}

START_TEST(counters_add_and_gauges_combine)
{
    struct metrics *all = metrics_create();

    create();
    metrics_add(&workers[0]->commits, 3);
    metrics_add(&workers[1]->commits, 4);
    metrics_move(&workers[0]->clients, 5);
    metrics_move(&workers[0]->clients, -2);
    metrics_set(&workers[1]->clients, 10);
    metrics_set(&workers[0]->store_up, 1);
    metrics_set(&workers[0]->era, 7);
    metrics_set(&workers[1]->era, 6);
    metrics_sum(all, workers, 2);
    ck_assert_uint_eq(metrics_counter(&all->commits), 7);
    ck_assert_int_eq(metrics_gauge(&all->clients), 13);
    ck_assert_int_eq(metrics_gauge(&all->store_up), 0);
    ck_assert_int_eq(metrics_gauge(&all->era), 7);
    free(all);
    destroy();
}
END_TEST

START_TEST(text_shows_counters_labels_and_histograms)
{
    static const char *const lines[] = {
        "# HELP ballast_mutations_total Mutations answered, by outcome.\n"
        "# TYPE ballast_mutations_total counter\n",
        "\nballast_mutations_total{outcome=\"ok\"} 12\n",
        "\nballast_mutations_total{outcome=\"duplicate\"} 1\n",
        "\n# TYPE ballast_clients gauge\nballast_clients 2\n",
        "\n# TYPE ballast_batch_size histogram\n",
        "\nballast_batch_size_bucket{le=\"1\"} 1\n",
        "\nballast_batch_size_bucket{le=\"512\"} 1\n",
        "\nballast_batch_size_bucket{le=\"1024\"} 2\n",
        "\nballast_batch_size_bucket{le=\"+Inf\"} 2\nballast_batch_size_sum 1001\n"
        "ballast_batch_size_count 2\n",
        "\nballast_command_seconds_bucket{class=\"read\",le=\"6.4e-05\"} 1\n",
        "\nballast_command_seconds_sum{class=\"read\"} 6.4e-05\n",
        "\nballast_workers 2\n",
    };

    create();
    metrics_add(&workers[0]->mutations_ok, 12);
    metrics_add(&workers[1]->mutations_duplicate, 1);
    metrics_set(&workers[0]->clients, 2);
    histogram_record(&workers[0]->batch_size, 1);
    histogram_record(&workers[1]->batch_size, 1000);
    histogram_record(&workers[0]->latency_read, 64);

    char *text = render();

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ck_assert_msg(strstr(text, lines[i]) != NULL, "%s\nis not in\n%s", lines[i], text);
    }
    free(text);
    destroy();
}
END_TEST

/* Prometheus takes no page in which a family comes twice, or a line has another form. */
START_TEST(every_line_has_the_form_and_families_stand_together)
{
    static char families[200][80];
    size_t count = 0;
    regex_t comment, sample;

    create();
    ck_assert_int_eq(regcomp(&comment, "^# (HELP|TYPE) ballast_[a-z_]+ [A-Za-z0-9+].*$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    ck_assert_int_eq(regcomp(&sample,
                             "^ballast_[a-z_]+(\\{[a-z]+=\"[^\"]+\"(,le=\"[^\"]+\")?\\})? "
                             "[0-9.e+-]+$",
                             REG_EXTENDED | REG_NOSUB),
                     0);

    char *text = render();

    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_msg(regexec(line[0] == '#' ? &comment : &sample, line, 0, NULL, 0) == 0, "%s",
                      line);
        if (strncmp(line, "# TYPE ", 7) == 0) {
            char *family = line + 7;

            *strchr(family, ' ') = '\0';
            for (size_t i = 0; i < count; i++) {
                ck_assert_str_ne(families[i], family);
            }
            strcpy(families[count++], family);
        }
    }
    ck_assert_uint_gt(count, 30);
    regfree(&comment);
    regfree(&sample);
    free(text);
    destroy();
}
END_TEST

static void count_visit(void *arg, const char *family, const char *labels, int64_t value)
{
    if (strcmp(family, "publishes") == 0 && strcmp(labels, "result=\"ok\"") == 0) {
        *(int64_t *)arg += value;
    }
}

START_TEST(each_visits_every_row_once)
{
    int64_t seen = 0;

    create();
    metrics_add(&workers[0]->publishes_ok, 9);
    metrics_each(workers[0], count_visit, &seen);
    ck_assert_int_eq(seen, 9);
    destroy();
}
END_TEST

UNIT_MAIN("metrics", counters_add_and_gauges_combine, text_shows_counters_labels_and_histograms,
          every_line_has_the_form_and_families_stand_together, each_visits_every_row_once)
