-- Ends the record of a reconciliation.
-- Parameters: $1 int8 run, $2 int8 accounts, $3 int8 transfers, $4 int8 findings, $5 int8
--   repaired, $6 text result: clean, differences or failed.
-- Rows: one: finished bool (false: no such run, or it had ended).
-- Locks: the run's row. Index: reconciliation_run_pkey.
SELECT ballast.reconciliation_finish($1::bigint, $2::bigint, $3::bigint, $4::bigint, $5::bigint,
                                     $6::text)
