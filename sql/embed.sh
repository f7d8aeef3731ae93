#!/usr/bin/env bash
# Turns sql/ into C: `sql/embed.sh OUT` writes OUT/gen/sql.h and OUT/sql_statements.c.
#
#   sql/NAME.sql                  -> extern const char sql_NAME[];
#   sql/migrations/NNNN_NAME.sql  -> a row of sql_migrations[], in the order of their numbers
#
# The text is embedded as it stands, comments too: a line that the server quotes in an error is
# then the line of the file. A file of OUT is touched only when its contents change, so that an
# edited statement does not compile the whole tree again.
set -euo pipefail
export LC_ALL=C

die() {
    echo "sql/embed.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: sql/embed.sh OUT"
out=$1
sql=$(dirname "$0")
shopt -s nullglob

c_string() {
    [ -s "$1" ] || die "$1 is empty"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$1"
}

statement_name() {
    local name
    name=$(basename "$1" .sql)
    [[ $name =~ ^[a-z][a-z0-9_]*$ ]] || die "$1: a statement is named [a-z][a-z0-9_]*.sql"
    echo "$name"
}

write_header() {
    echo "/* Made by sql/embed.sh from sql/: every statement and migration as a string. */"
    echo "#ifndef GEN_SQL_H"
    echo "#define GEN_SQL_H"
    echo
    for file in "$sql"/*.sql; do
        echo "extern const char sql_$(statement_name "$file")[];"
    done
    cat <<'END'

/* One schema migration: each is run once, in one transaction, in ascending order. */
struct sql_migration {
    int version;      /* 1, 2, 3... without gaps */
    const char *name; /* the file's name without number and suffix */
    const char *text;
};

extern const struct sql_migration sql_migrations[];
extern const int sql_migrations_count;

#endif
END
}

write_migrations() {
    local file base number version=0
    echo
    echo "const struct sql_migration sql_migrations[] = {"
    for file in "$sql"/migrations/*.sql; do
        base=$(basename "$file" .sql)
        [[ $base =~ ^([0-9]{4})_([a-z0-9_]+)$ ]] || die "$file: a migration is named NNNN_name.sql"
        number=$((10#${BASH_REMATCH[1]}))
        version=$((version + 1))
        [ "$number" -eq "$version" ] || die "$file: expected number $version (no gap, no number twice)"
        echo "{$version, \"${BASH_REMATCH[2]}\","
        c_string "$file"
        echo "},"
    done
    [ "$version" -gt 0 ] || echo "{0, \"\", \"\"},"
    echo "};"
    echo "const int sql_migrations_count = $version;"
}

write_source() {
    local file
    echo "#include \"gen/sql.h\""
    for file in "$sql"/*.sql; do
        echo
        echo "const char sql_$(statement_name "$file")[] ="
        c_string "$file"
        echo "    ;"
    done
    write_migrations
}

replace_if_changed() {
    if cmp -s "$1.new" "$1"; then
        rm "$1.new"
    else
        mv "$1.new" "$1"
    fi
}

mkdir -p "$out/gen"
write_header >"$out/gen/sql.h.new"
write_source >"$out/sql_statements.c.new"
replace_if_changed "$out/gen/sql.h"
replace_if_changed "$out/sql_statements.c"
