-- What `ballast doctor` wants to know of the server, whatever is in the database. Settings are those
-- of the server, the database and the role, not those that this session has made.
-- Parameters: none.
-- Rows: one: version int4, is_standby bool, read_only bool, fsync text, full_page_writes text,
--   synchronous_commit text, synchronous_standby_names text, sync_standbys int8 (streaming),
--   connections int8, connections_max int8 (without those of superusers), data_directory text (NULL
--   where it may not be seen), is_local bool (of this machine), now_ms int8. Locks: none.
SELECT current_setting('server_version_num')::integer,
       pg_is_in_recovery(),
       current_setting('transaction_read_only')::boolean,
       current_setting('fsync'),
       current_setting('full_page_writes'),
       (SELECT s.reset_val FROM pg_settings AS s WHERE s.name = 'synchronous_commit'),
       current_setting('synchronous_standby_names'),
       (SELECT count(*) FROM pg_stat_replication AS r
         WHERE r.state = 'streaming' AND r.sync_state IN ('sync', 'quorum')),
       (SELECT sum(d.numbackends) FROM pg_stat_database AS d)::bigint,
       current_setting('max_connections')::bigint
           - current_setting('superuser_reserved_connections')::bigint,
       (SELECT s.setting FROM pg_settings AS s WHERE s.name = 'data_directory'),
       inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr(),
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint
