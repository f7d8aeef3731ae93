-- About how many accounts there are, for progress bars: the planner's estimate.
-- Parameters: none. Rows: one: accounts int8. Locks: none. Index: pg_class_oid_index.
SELECT greatest(c.reltuples, 0)::bigint FROM pg_class AS c
 WHERE c.oid = 'ballast.account'::regclass
