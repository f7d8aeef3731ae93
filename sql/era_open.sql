-- T5: opens a new era from the drained one; notifies ballast_era. Changes nothing unless the
-- drained era is the one expected, and the cache is not switched off.
-- Parameters: $1 int8 drained era, $2 int8 new era (greater), $3 text nonce, $4 text run_id,
--   $5 text replid.
-- Rows: one: the era afterwards: era_id int8, era_nonce text, era_state text, era_run_id text,
--   era_replid text, era_switched_off bool.
-- Locks: the era row.
SELECT r.era_id, r.era_nonce, r.era_state, r.era_run_id, r.era_replid, r.era_switched_off
  FROM ballast.era_open($1::bigint, $2::bigint, $3::text, $4::text, $5::text) AS r
