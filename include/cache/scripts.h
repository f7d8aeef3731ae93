/*
 * cache/scripts.h: the Lua that runs inside Redis: the guarded writes of rules T5, T8 to T11.
 */
#ifndef BALLAST_CACHE_SCRIPTS_H
#define BALLAST_CACHE_SCRIPTS_H

enum cache_script {
    SCRIPT_WRITE, /* publish and fill */
    SCRIPT_TOKEN,
    SCRIPT_RAISE,   /* the stamp */
    SCRIPT_MARKS,   /* begins a rebuild */
    SCRIPT_GATES,   /* its writes: what may go without a look at each */
    SCRIPT_REBUILD, /* the others */
    SCRIPT_COUNT
};

#define SCRIPT_SHA_CHARS 40 /* SHA-1 in hex, as EVALSHA takes it */

/* What each takes and answers stands over its text in scripts.c. */
extern const char *const cache_scripts[SCRIPT_COUNT];

#endif
