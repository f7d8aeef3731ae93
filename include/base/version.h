/* base/version.h: of daemon and command line, which are released together. */
#ifndef BALLAST_BASE_VERSION_H
#define BALLAST_BASE_VERSION_H

#define BALLAST_VERSION "0.1.0"

#endif
