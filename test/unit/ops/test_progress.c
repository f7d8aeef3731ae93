/* What progress looks like; and JSON lines, which print it for programs. */
#include "ops/json.h"
#include "ops/progress.h"

#include <string.h>

#include "unit.h"

static const char *render(uint64_t done, double share, int64_t elapsed_us, int width)
{
    static char out[256];
    struct progress progress = {.what = "import", .unit = "rows"};
    struct progress_state state = {done, share, elapsed_us};

    progress_render(out, sizeof out, &progress, &state, width);
    return out;
}

START_TEST(counts_have_commas)
{
    char out[PROGRESS_COUNT_ROOM];

    ck_assert_str_eq(progress_count(out, 0), "0");
    ck_assert_str_eq(progress_count(out, 999), "999");
    ck_assert_str_eq(progress_count(out, 1000), "1,000");
    ck_assert_str_eq(progress_count(out, 1234567), "1,234,567");
    ck_assert_str_eq(progress_count(out, UINT64_MAX), "18,446,744,073,709,551,615");
}
END_TEST

START_TEST(shows_share_rate_and_time_left)
{
    ck_assert_str_eq(render(5000, 0.5, 2000000, 10),
                     "import  50 % [#####.....] 5,000 rows 2,500/s ETA 0:02");
    ck_assert_str_eq(render(5000, 0.25, 60000000, 0), "import  25 % 5,000 rows 83/s ETA 3:00");
}
END_TEST

START_TEST(leaves_out_what_is_not_known)
{
    ck_assert_str_eq(render(5000, -1, 2000000, 10), "import 5,000 rows 2,500/s");
    ck_assert_str_eq(render(0, 0, 2000000, 0), "import   0 % 0 rows");
    ck_assert_str_eq(render(10, 1.5, 1000000, 0), "import 100 % 10 rows 10/s");
    ck_assert_str_eq(render(10, 0.5, 1000, 0), "import  50 % 10 rows");
}
END_TEST

START_TEST(json_is_one_line_an_object)
{
    struct buffer out = BUFFER_EMPTY;
    struct json json;

    json_begin(&json, &out);
    json_text(&json, "a", "x\"\\\n\xC3\xA9\xFF\xED\xA0\x80");
    json_text(&json, "b", NULL);
    json_int(&json, "c", -5);
    json_bool(&json, "d", true);
    json_real(&json, "e", 1.5);
    json_raw(&json, "f", "[1]");
    json_end(&json);
    buffer_append_byte(&out, '\0');
    ck_assert_str_eq(out.data,
                     "{\"schema\":1,\"a\":\"x\\\"\\\\\\u000a\xC3\xA9\\ufffd\\ufffd\\ufffd\\ufffd\","
                     "\"b\":null,\"c\":-5,\"d\":true,\"e\":1.500,\"f\":[1]}\n");
    buffer_free(&out);
}
END_TEST

UNIT_MAIN("progress", counts_have_commas, shows_share_rate_and_time_left,
          leaves_out_what_is_not_known, json_is_one_line_an_object)
