-- What the store knows of an account, for `ballast explain`.
-- Parameters: $1 text account id.
-- Rows: one: era_id int8, era_state text, account text (JSON of the row, NULL: no such account),
--   changes text (JSON array: the last five journal rows and events, newest first).
-- Locks: none. Index: account_pkey, account_event_pkey, transfer_from_version,
--   transfer_to_version.
SELECT e.id, e.state,
       (SELECT (to_jsonb(a) - '{deferred,room}'::text[])::text FROM ballast.account AS a
         WHERE a.account_id = $1::text),
       (SELECT coalesce(jsonb_agg(x.change ORDER BY x.version DESC), '[]'::jsonb)::text
          FROM ((SELECT t.from_version AS version, to_jsonb(t) AS change
                   FROM ballast.transfer AS t
                  WHERE t.from_account = $1::text AND t.from_version IS NOT NULL
                  ORDER BY t.from_version DESC LIMIT 5)
                UNION ALL
                (SELECT t.to_version, to_jsonb(t)
                   FROM ballast.transfer AS t
                  WHERE t.to_account = $1::text AND t.to_version IS NOT NULL
                  ORDER BY t.to_version DESC LIMIT 5)
                UNION ALL
                (SELECT v.version, to_jsonb(v)
                   FROM ballast.account_event AS v
                  WHERE v.account_id = $1::text
                  ORDER BY v.version DESC LIMIT 5)
                ORDER BY version DESC LIMIT 5) AS x)
  FROM ballast.era AS e
