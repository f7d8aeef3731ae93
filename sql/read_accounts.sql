-- Present rows of accounts, with the era of the same snapshot (T7 b). See ballast.read_accounts().
-- Parameters: $1 text[] account ids, each once.
-- Rows: era_id int8, era_state text, account_id text, asset text, balance int8, held int8,
--   floor int8, status text, version int8. One an account that exists, in no order; one with
--   NULLs from account_id on if none does. Locks: none. Index: account_pkey.
SELECT r.era_id, r.era_state, r.account_id, r.asset, r.balance, r.held, r.floor, r.status, r.version
  FROM ballast.read_accounts($1::text[]) AS r
