-- T12: a step of the take-over of a daemon that fell silent. See ballast.lease_expel().
-- Parameters: $1 text daemon, $2 int8 born and $3 int8 renewals of its row when it was last seen, $4 int8
--   block of ballast.account to begin with.
-- Rows: one: next int8: the block to go on from; 0: the row is gone; NULL: it is another one by now.
-- Locks: the lease row; where it goes, the era's. Index: lease_pkey; a range of blocks of account.
SELECT ballast.lease_expel($1::text, $2::bigint, $3::bigint, $4::bigint)
