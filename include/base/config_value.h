/*
 * base/config_value.h: one option's value, from text into its field and back. For the files of
 * base/config.h alone.
 */
#ifndef BALLAST_BASE_CONFIG_VALUE_H
#define BALLAST_BASE_CONFIG_VALUE_H

#include "base/config.h"

/*
 * Sets the option's field from text; a list gets one more item. Returns false with what is wrong
 * in `err`, and the field as it was.
 */
bool config_value_set(struct config *config, const struct config_option *option, const char *text,
                      char *err, size_t errlen) MUST_CHECK;

/* Makes a list empty. Not for other types. */
void config_value_clear(struct config *config, const struct config_option *option);

/* Frees what the field owns. */
void config_value_free(struct config *config, const struct config_option *option);

bool config_value_equal(const struct config *a, const struct config *b,
                        const struct config_option *option);

/* Sets `to`'s field to a copy of `from`'s. Not for users, which a reload always takes over. */
void config_value_copy(struct config *to, const struct config *from,
                       const struct config_option *option);

/* Whether the option takes one value a line. */
bool config_option_is_list(const struct config_option *option);

#endif
