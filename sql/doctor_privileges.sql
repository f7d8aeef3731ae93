-- What a daemon calls and the present user may not: the functions that run as the owner, and the
-- one that reads.
-- Parameters: none.
-- Rows: one: functions text (names, NULL where nothing is missing), user_name text. Locks: none.
SELECT string_agg(p.proname::text, ', ' ORDER BY p.proname::text), current_user::text
  FROM pg_proc AS p
 WHERE p.pronamespace = to_regnamespace('ballast')
   AND (p.prosecdef OR p.proname = 'read_accounts')
   AND NOT has_function_privilege(p.oid, 'EXECUTE')
