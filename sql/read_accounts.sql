-- Present rows of accounts, with the era of the same snapshot (T7 b).
-- Parameters: $1 text[] account ids, each once.
-- Rows: era_id int8, era_state text, account_id text, asset text, balance int8, held int8,
--   floor int8, status text, version int8. One an account that exists, in no order; one with
--   NULLs from account_id on if none does. Locks: none. Index: account_pkey.
SELECT e.id, e.state, a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version
  FROM ballast.era AS e
  LEFT JOIN ballast.account AS a ON a.account_id = ANY ($1::text[])
