-- One page of the accounts that were changed in SQL and not published yet, with the era of the same
-- snapshot. See ballast.announced().
-- Parameters: $1 text the last id of the page before ('' at first), $2 int4 accounts.
-- Rows: era_id int8, era_state text, account_id text, asset text, balance int8, held int8,
--   floor int8, status text, version int8, mark int8. One an account, by account_id; one with NULLs
--   from account_id on if there are no more. Locks: none. Index: announcement_pkey, account_pkey.
SELECT r.era_id, r.era_state, r.account_id, r.asset, r.balance, r.held, r.floor, r.status,
       r.version, r.mark
  FROM ballast.announced($1::text, $2::integer) AS r
