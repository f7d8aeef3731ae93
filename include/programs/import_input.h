/*
 * programs/import_input.h: the bytes of an import file: plain or gzip, by its first two bytes, from
 * a path or from standard input. gzip(1) does the unpacking, and its exit status tells whether the
 * file was whole.
 */
#ifndef BALLAST_PROGRAMS_IMPORT_INPUT_H
#define BALLAST_PROGRAMS_IMPORT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

#define IMPORT_INPUT_ERROR_ROOM 192

struct import_input {
    int raw;       /* the file as it is */
    int fd;        /* what is read: raw, or what gzip writes */
    pid_t gzip;    /* 0: none */
    uint64_t size; /* of the file; 0: unknown */
    unsigned char head[2];
    size_t head_len; /* bytes of head that have not been handed out */
    char error[IMPORT_INPUT_ERROR_ROOM];
};

/* "-" is standard input. False with input->error set. */
bool import_input_open(struct import_input *input, const char *path) MUST_CHECK;
void import_input_close(struct import_input *input);

enum input_result { INPUT_BYTES, INPUT_NONE_YET, INPUT_END, INPUT_FAILED };
/* Waits for bytes for at most that long. */
enum input_result import_input_read(struct import_input *input, char *bytes, size_t size,
                                    int timeout_ms, size_t *len) MUST_CHECK;

/* How much of the file has been taken, 0 to 1; below 0: unknown. */
double import_input_share(const struct import_input *input);

#endif
