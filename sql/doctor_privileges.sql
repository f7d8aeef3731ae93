-- What a daemon calls and the present user may not.
-- Parameters: none.
-- Rows: one: functions text (names, NULL where nothing is missing), user_name text. Locks: none.
SELECT string_agg(p.proname, ', ' ORDER BY p.proname), current_user::text
  FROM pg_proc AS p
 WHERE p.pronamespace = to_regnamespace('ballast')
   AND p.proname IN ('post_batch', 'read_accounts', 'timeline', 'lease_renew', 'lease_drop',
                     'lease_expel', 'era_read', 'era_close', 'era_drain', 'era_open')
   AND NOT has_function_privilege(p.oid, 'EXECUTE')
