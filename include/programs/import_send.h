/* programs/import_send.h: the commands that an import sends. */
#ifndef BALLAST_PROGRAMS_IMPORT_SEND_H
#define BALLAST_PROGRAMS_IMPORT_SEND_H

#include <stdint.h>

#include "model/mutation.h"
#include "programs/client.h"

/* OPEN account asset FLOOR floor */
void import_send_open(struct client *client, const struct account_id *account,
                      const struct asset *asset, int64_t floor);

/* BALANCE account, for its asset */
void import_send_look(struct client *client, const struct account_id *account);

/* CREDIT or DEBIT account amount KEY key [MEMO memo] */
void import_send_row(struct client *client, const struct mutation *m);

#endif
