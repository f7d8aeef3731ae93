-- The era, and who holds a lease, for `ballast era`.
-- Parameters: none.
-- Rows: one a lease, and one with NULLs from daemon on if there is none: era_id int8, state text,
--   nonce text, run_id text, replid text, timeline text, timeline_now text (NULL on a standby),
--   changed_at text, daemon text, renewals int8, seen int8, run_id text, replid text, fenced bool,
--   note text (of the lease), switched_off bool, era_note text, age_ms int8 (since changed_at).
-- Locks: none. Index: none (one row, and a row a daemon).
SELECT e.id, e.state, e.nonce, e.run_id, e.replid, e.timeline,
       CASE WHEN NOT pg_is_in_recovery()
            THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END,
       to_char(e.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       l.daemon, l.renewals, l.seen, l.run_id, l.replid, l.fenced, l.note,
       e.switched_off, e.note,
       (extract(epoch FROM clock_timestamp() - e.changed_at) * 1000)::bigint
  FROM ballast.era AS e
  LEFT JOIN ballast.lease AS l ON true
 ORDER BY l.daemon
