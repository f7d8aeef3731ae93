-- The rows of accounts, for the comparison with their journals: one part of them, chosen by a hash.
-- Parameters: $1 mask, $2 part: int4, put into the text because COPY takes none (store_copy());
--   0 and 0: all.
-- Rows, in text: account_id, balance, version. Locks: none. Index: none, reads the table.
COPY (SELECT a.account_id, a.balance, a.version
        FROM ballast.account AS a
       WHERE $1 = 0 OR hashtext(a.account_id) & $1 = $2)
  TO STDOUT
