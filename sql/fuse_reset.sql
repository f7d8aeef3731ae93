-- An operator has looked: the fuse is whole, and counts from now on. Recorded.
-- Parameters: $1 text name, $2 text who, $3 text why.
-- Rows: one: was_blown bool. Fails with P0002 where there is no such fuse.
-- Locks: the fuse's row, to the commit. Index: fuse_pkey.
SELECT ballast.reset_fuse($1::text, $2::text, $3::text)
