-- Begins the record of a rebuild.
-- Parameters: $1 text runner (host and process), $2 int8 era.
-- Rows: one: run int8. Locks: none.
SELECT ballast.rebuild_start($1::text, $2::bigint)
