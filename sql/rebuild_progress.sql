-- Records how far a rebuild has come, or its end.
-- Parameters: $1 int8 run, $2 int8 accounts read, $3 int8 values written, $4 text state: running,
--   done or failed.
-- Rows: one: recorded bool (false: no such run, or it had ended).
-- Locks: the run's row. Index: rebuild_run_pkey.
SELECT ballast.rebuild_progress($1::bigint, $2::bigint, $3::bigint, $4::text)
