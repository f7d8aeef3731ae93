-- What a daemon must know of a server before it uses a new connection to it. Fails with 3F000 or
-- 42P01 where the schema is missing.
-- Parameters: none.
-- Rows: one: is_in_recovery bool, fsync text, transaction_read_only text, schema_version int4,
--   server_version_num int4, mac_key text (32 hex digits), timeline text (NULL on a standby),
--   database text. Locks: none. Index: migration_pkey, setting_pkey.
SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('transaction_read_only'),
       (SELECT coalesce(max(m.version), 0) FROM ballast.migration AS m),
       current_setting('server_version_num')::integer,
       (SELECT s.value FROM ballast.setting AS s WHERE s.name = 'mac_key'),
       ballast.timeline(), current_database()::text
