-- The accounts that changed last: what readers of a cold cache will ask for first.
-- Parameters: $1 int4 rows.
-- Rows: account_id text, newest first. Locks: none. Index: none: a sequential scan that keeps the
--   best, in memory; a few seconds for ten million accounts, once an era.
SELECT a.account_id
  FROM ballast.account AS a
 ORDER BY a.changed_at DESC
 LIMIT $1::integer
