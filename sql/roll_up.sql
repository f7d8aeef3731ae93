-- Moves what is safe of the journal into the balances of system accounts. Two calls make progress:
-- the first notes how far the journal goes, one after all transactions of then have ended sums it.
-- Parameters: none. Rows: one: upto int8.
-- Locks: the row of system_roll_up. Index: transfer_pkey.
SELECT ballast.roll_up()
