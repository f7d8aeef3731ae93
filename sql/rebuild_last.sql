-- The rebuild that began last, for whoever waits for it or wants to know of it.
-- Parameters: none.
-- Rows: none or one: run int8, runner text, state text, era int8, accounts int8, written int8,
--   seconds float8 (until its end, or until now). Locks: none. Index: rebuild_run_pkey.
SELECT r.run, r.runner, r.state, r.era, r.accounts, r.written,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8
  FROM ballast.rebuild_run AS r
 ORDER BY r.run DESC
 LIMIT 1
