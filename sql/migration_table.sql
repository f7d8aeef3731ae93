-- Bootstrap of `ballast migrate`: what must stand before the first numbered migration can be
-- recorded. Safe to run any number of times, also by two runners at once (advisory lock).
-- The runner then applies each file of sql/migrations/ that is not in ballast.migration, in
-- order, each in one transaction together with its own row:
--   INSERT INTO ballast.migration (version, name) VALUES (…)
-- Parameters: none. Rows: none. Locks: the advisory lock, to the end of the transaction.
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ballast.migrate', 0));
    IF to_regrole('ballast_owner') IS NULL THEN
        CREATE ROLE ballast_owner NOLOGIN;
    END IF;
    IF to_regrole('ballast_daemon') IS NULL THEN
        CREATE ROLE ballast_daemon NOLOGIN;
    END IF;
    IF to_regrole('ballast_auditor') IS NULL THEN
        CREATE ROLE ballast_auditor NOLOGIN;
    END IF;
    IF to_regrole('ballast_poster') IS NULL THEN
        CREATE ROLE ballast_poster NOLOGIN;
    END IF;
    IF to_regnamespace('ballast') IS NULL THEN
        CREATE SCHEMA ballast AUTHORIZATION ballast_owner;
    END IF;
    IF to_regclass('ballast.migration') IS NULL THEN
        CREATE TABLE ballast.migration (
            version integer PRIMARY KEY,
            name text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        ALTER TABLE ballast.migration OWNER TO ballast_owner;
        GRANT USAGE ON SCHEMA ballast TO ballast_daemon, ballast_auditor, ballast_poster;
        GRANT SELECT ON ballast.migration TO ballast_daemon, ballast_auditor;
    END IF;
END
$$;
