-- Begins the record of a reconciliation.
-- Parameters: $1 text runner (host and process), $2 float8 share of accounts looked at, $3 bool
--   whether differences in the cache are repaired.
-- Rows: one: run int8. Locks: none.
SELECT ballast.reconciliation_start($1::text, $2::double precision, $3::boolean)
