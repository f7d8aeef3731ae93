-- Records one difference.
-- Parameters: $1 int8 run, $2 text account (NULL: none in particular), $3 text check, $4 text
--   expected, $5 text found, $6 bool repaired.
-- Rows: one: finding int8. Locks: none. Index: reconciliation_run_pkey.
SELECT ballast.reconciliation_note($1::bigint, $2::text, $3::text, $4::text, $5::text, $6::boolean)
