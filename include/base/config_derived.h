/*
 * base/config_derived.h: what follows from a configuration for those around the daemon.
 */
#ifndef BALLAST_BASE_CONFIG_DERIVED_H
#define BALLAST_BASE_CONFIG_DERIVED_H

#include "base/config.h"

/* How a program on the same machine reaches the daemon: the first address that it listens on,
 * loopback for one on all addresses; else its Unix socket. */
struct address config_client_address(const struct config *config);

/* The user that may do most, the first of several; NULL without users. */
const struct config_user *config_client_user(const struct config *config);

/* How many files the daemon may want to have open at once. */
int64_t config_files_wanted(const struct config *config);

#endif
