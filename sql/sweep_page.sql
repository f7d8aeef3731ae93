-- One page of accounts, and those of it that are active and below their floor. Holds whose time is
-- up count as ended: SUSPEND IFBELOW ends them first.
-- Parameters: $1 text the last id of the page before ('' at first), $2 int4 accounts.
-- Rows: last_account text, accounts int8 (of the page), then of one account that is below:
--   account_id text, available int8, floor int8, version int8. One row an account that is below; one
--   with NULLs from account_id on if none is; last_account NULL: there are no more accounts.
-- Locks: none; one snapshot. Index: account_pkey, hold_account.
WITH page AS MATERIALIZED (
    SELECT a.account_id, a.balance - a.held AS available, a.held, a.floor, a.status, a.version
      FROM ballast.account AS a
     WHERE a.account_id > $1::text
     ORDER BY a.account_id
     LIMIT $2::integer
)
SELECT s.last_account::text, s.accounts, b.account_id::text, b.available, b.floor, b.version
  FROM (SELECT max(p.account_id) AS last_account, count(*) AS accounts FROM page AS p) AS s
  LEFT JOIN (SELECT p.account_id, p.available + h.due AS available, p.floor, p.version
               FROM page AS p,
                    LATERAL (SELECT coalesce(sum(x.amount), 0)::bigint AS due
                               FROM ballast.hold AS x
                              WHERE p.held > 0 AND x.account_id = p.account_id
                                AND x.state = 'held' AND x.expires <= clock_timestamp()) AS h
              WHERE p.status = 'active' AND p.available < p.floor
                AND p.available + h.due < p.floor) AS b ON true
 ORDER BY b.account_id
