-- The era.
-- Parameters: none.
-- Rows: one: era_id int8, era_nonce text, era_state text, era_run_id text, era_replid text.
-- Locks: none.
SELECT r.era_id, r.era_nonce, r.era_state, r.era_run_id, r.era_replid
  FROM ballast.era_present() AS r
