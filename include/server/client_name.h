/* server/client_name.h: CLIENT SETNAME, which HELLO can say too. */
#ifndef BALLAST_SERVER_CLIENT_NAME_H
#define BALLAST_SERVER_CLIENT_NAME_H

#include "base/attributes.h"
#include "server/reply.h"

/* Answers with an error and returns false where it is no name. */
bool client_set_name(struct call *call, const struct resp_slice *name) MUST_CHECK;

#endif
