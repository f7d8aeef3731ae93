-- Ends the lease of a daemon that fell silent, unless it has renewed since.
-- Parameters: $1 text daemon, $2 int8 renewals that it had when it was last seen.
-- Rows: one: expelled bool. Locks: the lease row. Index: lease_pkey.
SELECT ballast.lease_expel($1::text, $2::bigint)
