/*
 * A record is looked for twice: once for its end, which may not have arrived yet, and once, when it
 * is whole, for its fields. Quoted fields are unquoted in place, in the reader's own buffer.
 */
#include "ops/csv.h"

#include <string.h>

void csv_init(struct csv_reader *reader)
{
    *reader = (struct csv_reader){.line = 1};
}

void csv_free(struct csv_reader *reader)
{
    buffer_free(&reader->in);
}

void csv_feed(struct csv_reader *reader, const char *bytes, size_t len)
{
    assert(!reader->ended);
    buffer_append(&reader->in, bytes, len);
}

void csv_feed_end(struct csv_reader *reader)
{
    reader->ended = true;
}

static enum csv_result fail(struct csv_reader *reader, struct csv_record *record, const char *error)
{
    reader->error = error;
    record->line = reader->line;
    return CSV_ERROR;
}

/*
 * Finds the end of the first record: *end is the offset behind its last byte, *next behind its line
 * end, *lines the line ends in it. False where the record is not whole.
 */
static bool find_end(const struct csv_reader *reader, size_t *end, size_t *next, uint64_t *lines)
{
    const char *data = reader->in.data;
    size_t len = reader->in.len;
    bool quoted = false;

    *lines = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '"') {
            quoted = !quoted;
        } else if (data[i] == '\n') {
            (*lines)++;
            if (!quoted) {
                *end = i > 0 && data[i - 1] == '\r' ? i - 1 : i;
                *next = i + 1;
                return true;
            }
        }
    }
    *end = *next = len;
    return reader->ended && !quoted;
}

/* Unquotes the field that begins behind the quote at *at. NULL, or what is wrong with it. */
static const char *take_quoted(char *data, size_t end, size_t *at, struct csv_field *field)
{
    size_t from = *at + 1, to = from;

    field->data = data + from;
    for (size_t i = from; i < end; i++) {
        if (data[i] != '"') {
            data[to++] = data[i];
        } else if (i + 1 < end && data[i + 1] == '"') {
            data[to++] = '"';
            i++;
        } else {
            field->len = to - from;
            *at = i + 1;
            return i + 1 == end || data[i + 1] == ',' ? NULL : "text behind a closing quote";
        }
    }
    return "a quote is not closed";
}

static const char *take_plain(char *data, size_t end, size_t *at, struct csv_field *field)
{
    size_t from = *at;

    while (*at < end && data[*at] != ',') {
        if (data[*at] == '"') {
            return "a quote inside a field that does not begin with one";
        }
        (*at)++;
    }
    field->data = data + from;
    field->len = *at - from;
    return NULL;
}

static const char *split(char *data, size_t end, struct csv_record *record)
{
    size_t at = 0;

    if (memchr(data, '\0', end) != NULL) {
        return "a NUL byte";
    }
    record->count = 0;
    for (;;) {
        if (record->count == CSV_FIELDS_MAX) {
            return "too many fields";
        }
        struct csv_field *field = &record->fields[record->count++];
        const char *error = at < end && data[at] == '"' ? take_quoted(data, end, &at, field)
                                                        : take_plain(data, end, &at, field);
        if (error != NULL) {
            return error;
        }
        if (at == end) {
            return NULL;
        }
        at++; /* the comma: a field follows, if only an empty one */
    }
}

/* The byte order mark that spreadsheets write. False: it may still be coming. */
static bool skip_mark(struct csv_reader *reader)
{
    static const char mark[3] = "\xEF\xBB\xBF";

    if (reader->begun) {
        return true;
    }
    if (reader->in.len < sizeof mark && !reader->ended) {
        return false;
    }
    reader->begun = true;
    if (reader->in.len >= sizeof mark && memcmp(reader->in.data, mark, sizeof mark) == 0) {
        buffer_consume(&reader->in, sizeof mark);
    }
    return true;
}

enum csv_result csv_next(struct csv_reader *reader, struct csv_record *record)
{
    if (reader->error != NULL) {
        return fail(reader, record, reader->error);
    }
    buffer_consume(&reader->in, reader->used);
    reader->used = 0;
    if (!skip_mark(reader)) {
        return CSV_NEED_MORE;
    }
    for (;;) {
        size_t end, next;
        uint64_t lines;

        if (reader->in.len == 0) {
            return reader->ended ? CSV_END : CSV_NEED_MORE;
        }
        bool whole = find_end(reader, &end, &next, &lines);
        if (end > CSV_RECORD_BYTES_MAX) {
            return fail(reader, record, "a record of more than 64 KiB, or a quote not closed");
        }
        if (!whole && reader->ended) {
            return fail(reader, record, "a quote is not closed");
        }
        if (!whole) {
            return CSV_NEED_MORE;
        }
        if (end == 0) {
            buffer_consume(&reader->in, next);
            reader->line += lines;
            continue;
        }
        const char *error = split(reader->in.data, end, record);
        if (error != NULL) {
            return fail(reader, record, error);
        }
        record->line = reader->line;
        reader->line += lines;
        reader->used = next;
        return CSV_RECORD;
    }
}
