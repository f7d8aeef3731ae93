-- T14: this store has forgotten that era, or what came after it; closes above it, and nothing is posted
-- until an operator has accepted that; notifies ballast_era.
-- Parameters: $1 int8 the highest era known.
-- Rows: one: the era afterwards: era_id int8, era_nonce text, era_state text, era_run_id text,
--   era_replid text, era_switched_off bool.
-- Locks: the era row.
SELECT r.era_id, r.era_nonce, r.era_state, r.era_run_id, r.era_replid, r.era_switched_off
  FROM ballast.era_rewound($1::bigint) AS r
