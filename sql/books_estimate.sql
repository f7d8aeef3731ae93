-- About how many rows accounts and their journals have, for progress bars: the planner's estimate.
-- Parameters: none. Rows: one: rows int8. Locks: none. Index: pg_class_oid_index.
SELECT sum(greatest(c.reltuples, 0))::bigint
  FROM pg_class AS c
 WHERE c.oid IN ('ballast.account'::regclass, 'ballast.account_event'::regclass,
                 'ballast.transfer'::regclass)
