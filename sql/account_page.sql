-- One page of all accounts, in the order of their ids (rebuild, reconcile).
-- Parameters: $1 text the last id of the page before ('' at first), $2 int4 rows.
-- Rows: account_id text, asset text, balance int8, held int8, floor int8, status text,
--   version int8. Locks: none. Index: account_pkey.
SELECT a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version
  FROM ballast.account AS a
 WHERE a.account_id > $1::text
 ORDER BY a.account_id
 LIMIT $2::integer
