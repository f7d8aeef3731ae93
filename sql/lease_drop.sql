-- Ends the own lease, at a graceful end.
-- Parameters: $1 text daemon.
-- Rows: one: dropped bool. Locks: the lease row. Index: lease_pkey.
SELECT ballast.lease_drop($1::text)
