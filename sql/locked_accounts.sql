-- Which of these accounts are locked by somebody else, so that a posting would wait.
-- Parameters: $1 text[] account ids.
-- Rows: one a locked account: account text, asset text, balance int8, held int8, floor int8,
--   status text, version int8.
-- Locks: the accounts that are not locked, to the end of the statement. Index: account_pkey.
SELECT a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version
  FROM ballast.locked_accounts($1::text[]) AS a
