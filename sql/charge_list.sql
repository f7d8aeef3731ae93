-- Charges that are not settled, oldest first, at most 10,000.
-- Parameters: $1 text account id (NULL: of all accounts).
-- Rows: charge int8, account text, amount int8, state text ('begun' or 'unknown'), begun text (RFC
--   3339, UTC, microseconds). Locks: none. Index: charge_open, all of it without an account.
SELECT c.charge, c.account_id::text, c.amount, c.state::text, ballast.moment(c.begun_at)
  FROM ballast.charge AS c
 WHERE c.state IN ('begun', 'unknown') AND ($1::text IS NULL OR c.account_id = $1::text)
 ORDER BY c.charge
 LIMIT 10000
