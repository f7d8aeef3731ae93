-- What a commit refused whose answer was lost, with the accounts that the answer told of; and where it
-- has posted the expiries of holds.
-- Parameters: $1 int8 number of the commit.
-- Rows: one an operation and account, or an operation with NULLs where it named none: op int4,
--   outcome text, detail text, then account text, asset text, balance int8, held int8, floor int8,
--   status text, version int8; ordered by op. None: the commit refused nothing, or never was.
-- Locks: none. Index: refusal_pkey, account_pkey.
SELECT r.op, r.outcome, r.detail, a.account_id, a.asset, a.balance, a.held, a.floor, a.status,
       a.version
  FROM ballast.refusal AS r
  LEFT JOIN ballast.account AS a ON a.account_id = ANY (r.accounts)
 WHERE r.commit_number = $1::bigint
 ORDER BY r.op
