-- The operator's switch of the cache; notifies ballast_era.
-- Parameters: $1 bool off, $2 text note: who did it.
-- Rows: one: the era afterwards: era_id int8, era_nonce text, era_state text, era_run_id text,
--   era_replid text, era_switched_off bool.
-- Locks: the era row.
SELECT r.era_id, r.era_nonce, r.era_state, r.era_run_id, r.era_replid, r.era_switched_off
  FROM ballast.cache_switch($1::boolean, $2::text) AS r
