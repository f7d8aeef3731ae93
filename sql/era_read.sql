-- The era.
-- Parameters: none.
-- Rows: one: era_id int8, era_nonce text, era_state text, era_run_id text, era_replid text,
--   era_switched_off bool.
-- Locks: the era row where the timeline is new (T14).
SELECT r.era_id, r.era_nonce, r.era_state, r.era_run_id, r.era_replid, r.era_switched_off
  FROM ballast.era_read() AS r
