-- The version of the schema; fails where there is none (see schema_exists).
-- Parameters: none.
-- Rows: one: version int4, 0 before the first migration. Locks: none. Index: migration_pkey.
SELECT coalesce(max(m.version), 0) FROM ballast.migration AS m
