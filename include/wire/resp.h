/*
 * wire/resp.h: RESP, the protocol of Redis: requests in, replies out.
 *
 * Requests. resp_parse() is offered everything that a connection has received and not yet
 * consumed, and finds the first command in it. Arguments are slices of the offered bytes; nothing
 * is copied. Where a command is not yet whole, the parser remembers how far it came, so that a
 * long command that arrives in small pieces is not read from its start again and again; the bytes
 * may have moved in memory meanwhile, and there may be more of them.
 *
 *   for (;;) {
 *       enum resp_result result = resp_parse(&parser, in->data, in->len, &args, &consumed);
 *       if (result == RESP_COMMAND) {
 *           execute(args.items, args.count);        slices are valid until the bytes go
 *       }
 *       buffer_consume(in, consumed);
 *       if (result == RESP_NEED_MORE) { read more and come back; }
 *       if (result == RESP_PROTOCOL_ERROR) { resp_error(w, "ERR", "%s", parser.error); close; }
 *   }
 *
 * Both forms of Redis are understood: `*2\r\n$3\r\nGET\r\n$1\r\na\r\n`, and a line of words with
 * quotes as redis-cli reads them, for people with netcat. Empty commands (`*0`, `*-1`, an empty
 * line) are passed over as in Redis. A line that begins with `POST` or `Host:` is a browser that
 * was tricked into speaking to us, and an error.
 *
 * Replies. The resp_…() functions append to a buffer; they cannot fail. What differs between
 * RESP2 and RESP3 is hidden in them.
 */
#ifndef BALLAST_WIRE_RESP_H
#define BALLAST_WIRE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"

/* ------------------------------------------------------------------------------- requests -- */

/* One argument: any bytes, not ended by a NUL. */
struct resp_slice {
    union {
        const char *data;
        size_t offset; /* the parser's own, until the command is whole: bytes may move */
    };
    size_t len;
};

/*
 * The arguments of one command, one struct a connection: it holds the half of a command that has
 * arrived. Zeroed at first; grows by what arrived, not by what was announced. May be freed between
 * commands, so that one large command does not cost memory for ever.
 */
struct resp_args {
    struct resp_slice *items;
    size_t count;
    size_t cap;
};

/* What a connection may send. May be changed between commands (after authentication). */
struct resp_limits {
    size_t args; /* arguments a command */
    size_t bulk; /* bytes an argument */
};

enum resp_result {
    RESP_NEED_MORE,
    RESP_COMMAND,
    RESP_PROTOCOL_ERROR,
};

struct resp_parser {
    struct resp_limits limits;
    size_t offset;     /* where to go on in the offered bytes */
    int64_t args_left; /* arguments still to come; 0: between commands */
    int64_t bulk_len;  /* of the argument at `offset`; -1: its `$` line has not been read */
    char error[64];    /* RESP_PROTOCOL_ERROR: "Protocol error: …", as Redis words it */
};

void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits);

/*
 * Looks for one command in `len` bytes at `data`. With RESP_COMMAND, `args` holds its one or more
 * arguments. `*consumed` bytes are done with in each case and must not be offered again: with
 * RESP_COMMAND those of the command (take the slices first), with RESP_NEED_MORE those of empty
 * commands, if any. The bytes behind them must be offered again, unchanged, with more behind.
 * After RESP_PROTOCOL_ERROR the connection is beyond repair.
 *
 * The quoted words of an inline command are unquoted in place: the bytes are written to.
 */
enum resp_result resp_parse(struct resp_parser *parser, char *data, size_t len,
                            struct resp_args *args, size_t *consumed) MUST_CHECK;

/* Frees the array; not the bytes that it points to. */
void resp_args_free(struct resp_args *args);

/* Whether the slice is this word, in whatever case; `word` is written in upper case. */
bool resp_slice_is(const struct resp_slice *slice, const char *word);

/* -------------------------------------------------------------------------------- replies -- */

struct resp_writer {
    struct buffer *out;
    int protocol; /* 2 or 3 */
};

/* `+text`: a constant without line ends. */
void resp_simple(struct resp_writer *writer, const char *text);

/* `-CODE text`. Line ends and NULs in the text, which may quote the client, become spaces. */
void resp_error(struct resp_writer *writer, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* `:n`: for counts and flags. Amounts and versions are resp_bulk_int64(). */
void resp_int(struct resp_writer *writer, int64_t value);

void resp_bulk(struct resp_writer *writer, const void *bytes, size_t len);
void resp_bulk_text(struct resp_writer *writer, const char *text);

/* A number as a bulk string of digits: integers beyond 2^53 break clients. */
void resp_bulk_int64(struct resp_writer *writer, int64_t value);
void resp_bulk_uint64(struct resp_writer *writer, uint64_t value);

/* No value: `_`, in RESP2 `$-1`. And no array: `_`, in RESP2 `*-1`. */
void resp_nil(struct resp_writer *writer);
void resp_nil_array(struct resp_writer *writer);

/* Heads: `count` elements must follow; for a map, `count` pairs of key and value. */
void resp_array(struct resp_writer *writer, size_t count);
void resp_map(struct resp_writer *writer, size_t count);
void resp_set(struct resp_writer *writer, size_t count);
void resp_push(struct resp_writer *writer, size_t count);

/* Text for people (INFO), as it is; in RESP2 a bulk string. */
void resp_verbatim(struct resp_writer *writer, const char *text, size_t len);

/* `#t`, in RESP2 `:1`. */
void resp_bool(struct resp_writer *writer, bool value);

/* A floating-point number that is not money; in RESP2 a bulk string. */
void resp_double(struct resp_writer *writer, double value);

#endif
