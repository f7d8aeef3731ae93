/*
 * ops/csv.h: a reader of CSV as RFC 4180 has it, fed in pieces of any size.
 *
 * Fields are separated by commas; lines end in LF or CRLF; a field in double quotes may hold
 * commas, line ends and, written twice, double quotes. A UTF-8 byte order mark in front and empty
 * lines are passed over. Nothing is guessed: a quote inside a plain field, text behind a closing
 * quote, a NUL or a quote that is never closed is an error that names its line.
 *
 *   for (;;) {
 *       switch (csv_next(&reader, &record)) {
 *       case CSV_RECORD: use(&record); break;               valid until the next call
 *       case CSV_NEED_MORE: csv_feed() or csv_feed_end(); break;
 *       case CSV_END: return;
 *       case CSV_ERROR: complain(record.line, reader.error); return;    for good
 *       }
 *   }
 */
#ifndef BALLAST_OPS_CSV_H
#define BALLAST_OPS_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"

#define CSV_FIELDS_MAX 16
#define CSV_RECORD_BYTES_MAX (64 * 1024) /* a quote left open must not swallow the whole file */

enum csv_result { CSV_RECORD, CSV_NEED_MORE, CSV_END, CSV_ERROR };

struct csv_field {
    const char *data; /* not ended by a NUL */
    size_t len;
};

struct csv_record {
    uint64_t line; /* where it begins, from 1 */
    size_t count;
    struct csv_field fields[CSV_FIELDS_MAX];
};

struct csv_reader {
    struct buffer in;
    size_t used;       /* bytes of the record handed out last */
    uint64_t line;     /* where the next record begins */
    bool begun, ended; /* the first bytes were seen; the last were fed */
    const char *error; /* CSV_ERROR: a constant text */
};

void csv_init(struct csv_reader *reader);
void csv_free(struct csv_reader *reader);

void csv_feed(struct csv_reader *reader, const char *bytes, size_t len);
void csv_feed_end(struct csv_reader *reader);

enum csv_result csv_next(struct csv_reader *reader, struct csv_record *record) MUST_CHECK;

#endif
