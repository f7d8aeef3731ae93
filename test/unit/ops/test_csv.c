/* The CSV reader: whole, in pieces of every size, and what it refuses. */
#include "ops/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* Feeds text in pieces of that size and joins what comes out: "1:a|b;3:c;" and the error. */
static const char *read_all(const char *text, size_t len, size_t piece, char *out)
{
    struct csv_reader reader;
    struct csv_record record;
    size_t fed = 0;

    csv_init(&reader);
    out[0] = '\0';
    for (;;) {
        enum csv_result result = csv_next(&reader, &record);
        if (result == CSV_NEED_MORE) {
            size_t count = len - fed < piece ? len - fed : piece;
            if (count == 0) {
                csv_feed_end(&reader);
            } else {
                csv_feed(&reader, text + fed, count);
                fed += count;
            }
            continue;
        }
        if (result == CSV_ERROR) {
            sprintf(out + strlen(out), "%d!%s", (int)record.line, reader.error);
        }
        if (result != CSV_RECORD) {
            csv_free(&reader);
            return out;
        }
        sprintf(out + strlen(out), "%d:", (int)record.line);
        for (size_t i = 0; i < record.count; i++) {
            sprintf(out + strlen(out), "%s%.*s", i > 0 ? "|" : "", (int)record.fields[i].len,
                    record.fields[i].data);
        }
        strcat(out, ";");
    }
}

static void expect(const char *text, const char *wanted)
{
    char out[1024];

    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        ck_assert_str_eq(read_all(text, strlen(text), piece, out), wanted);
    }
}

START_TEST(reads_plain_records)
{
    expect("", "");
    expect("a,b\nc,d\n", "1:a|b;2:c|d;");
    expect("a,b\r\nc,d", "1:a|b;2:c|d;");
    expect("a,,\n,\n", "1:a||;2:|;");
    expect("a\n\n\r\nb\n", "1:a;4:b;");
    expect("\xEF\xBB\xBF"
           "a,b\n",
           "1:a|b;");
}
END_TEST

START_TEST(reads_quoted_fields)
{
    expect("\"a,b\",c\n", "1:a,b|c;");
    expect("\"say \"\"hi\"\"\",\"\"\n", "1:say \"hi\"|;");
    expect("\"two\nlines\",x\ny,z\n", "1:two\nlines|x;3:y|z;");
    expect("\"end\"", "1:end;");
}
END_TEST

START_TEST(refuses_what_it_would_have_to_guess)
{
    expect("a\nb\"c\",d\n", "1:a;2!a quote inside a field that does not begin with one");
    expect("a\n\"b\"c\n", "1:a;2!text behind a closing quote");
    expect("a\n\"b,c\n", "1:a;2!a quote is not closed");
    expect("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n", "1!too many fields");
}
END_TEST

START_TEST(refuses_nul_bytes)
{
    char out[1024];

    ck_assert_str_eq(read_all("a\nb\0c\n", 6, 6, out), "1:a;2!a NUL byte");
}
END_TEST

START_TEST(bounds_a_record)
{
    size_t len = CSV_RECORD_BYTES_MAX * 2;
    char *text = malloc(len), out[1024];

    memset(text, 'x', len);
    text[0] = '"';
    ck_assert_str_eq(read_all(text, len, 4096, out),
                     "1!a record of more than 64 KiB, or a quote not closed");
    free(text);
}
END_TEST

UNIT_MAIN("csv", reads_plain_records, reads_quoted_fields, refuses_what_it_would_have_to_guess,
          refuses_nul_bytes, bounds_a_record)
