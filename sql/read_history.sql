-- The last movements of an account, newest first, with its present row and the era. See
-- ballast.read_history().
-- Parameters: $1 text account id, $2 int8 only versions before this (NULL: all), $3 int8 at most
--   so many.
-- Rows: era_id int8, era_state text, account_id text, asset text, balance int8, held int8,
--   floor int8, status text, version int8, then of the movement: transfer int8, leg int8,
--   at_version int8, amount int8 (signed, as this account sees it), at_balance int8,
--   counterparty text, kind text, key text, memo text, at text (RFC 3339, UTC, microseconds).
--   At least one row; NULLs where there is no account or no movement. Locks: none.
-- Index: account_pkey, transfer_from_version, transfer_to_version, read backwards to the limit.
SELECT r.era_id, r.era_state, r.account_id, r.asset, r.balance, r.held, r.floor, r.status, r.version,
       r.transfer, r.leg, r.at_version, r.amount, r.at_balance, r.counterparty, r.kind, r.key, r.memo,
       r.at
  FROM ballast.read_history($1::text, $2::bigint, $3::bigint) AS r
