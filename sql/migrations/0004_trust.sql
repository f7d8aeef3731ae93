-- The era and the leases: the store's side of the trust rules T1 to T5 and T14. Each function is
-- one step of the protocol and decides nothing; the daemon's trust machine does.

SET LOCAL ROLE ballast_owner;

-- The timeline that this server writes on, as in the names of its WAL files; NULL on a standby.
CREATE FUNCTION ballast.timeline() RETURNS text
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE WHEN NOT pg_is_in_recovery()
                THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END
$$;

CREATE TYPE ballast.era_row AS (
    era_id bigint,
    era_nonce text,
    era_state text,
    era_run_id text,
    era_replid text
);

CREATE TYPE ballast.lease_row AS (
    era_id bigint,
    era_nonce text,
    era_state text,
    era_run_id text,
    era_replid text,
    era_timeline text,
    timeline text,
    fsync boolean,
    daemon text,
    renewals bigint,
    seen bigint,
    run_id text,
    replid text,
    fenced boolean
);

-- T1: renews (or takes) the caller's lease and returns, read after it in the same transaction,
-- every lease with the era. A fenced lease, or one that another incarnation of the name took over,
-- is not renewed, and the caller's own row is returned as fenced: it must not serve on.
-- Locks: the lease row, to the commit.
CREATE FUNCTION ballast.lease_renew(p_daemon text, p_incarnation text, p_seen bigint,
                                    p_run_id text, p_replid text)
RETURNS SETOF ballast.lease_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    is_mine boolean;
BEGIN
    INSERT INTO ballast.lease AS l (daemon, incarnation, renewals, seen, run_id, replid)
    VALUES (p_daemon, p_incarnation, 1, p_seen, p_run_id, p_replid)
    ON CONFLICT (daemon) DO UPDATE
       SET renewals = l.renewals + 1, seen = greatest(l.seen, excluded.seen),
           run_id = excluded.run_id, replid = excluded.replid
     WHERE NOT l.fenced AND l.incarnation = excluded.incarnation;
    is_mine := FOUND;
    RETURN QUERY
    SELECT e.id, e.nonce, e.state, e.run_id, e.replid, e.timeline, ballast.timeline(),
           current_setting('fsync')::boolean, l.daemon, l.renewals, l.seen, l.run_id, l.replid,
           l.fenced OR (l.daemon = p_daemon AND NOT is_mine)
      FROM ballast.era AS e CROSS JOIN ballast.lease AS l
     ORDER BY l.daemon;
END
$$;

-- Ends the caller's own lease, at a graceful end.
CREATE FUNCTION ballast.lease_drop(p_daemon text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    DELETE FROM ballast.lease WHERE daemon = p_daemon;
    RETURN FOUND;
END
$$;

-- Ends the lease of a daemon that fell silent, unless it has renewed since the caller looked.
CREATE FUNCTION ballast.lease_expel(p_daemon text, p_renewals bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    DELETE FROM ballast.lease WHERE daemon = p_daemon AND renewals = p_renewals;
    RETURN FOUND;
END
$$;

CREATE FUNCTION ballast.era_present() RETURNS SETOF ballast.era_row
LANGUAGE sql STABLE
AS $$ SELECT e.id, e.nonce, e.state, e.run_id, e.replid FROM ballast.era AS e $$;

-- T3: closes era p_id if it is open. Every outcome returns the era as it stands afterwards; it is
-- read by a later statement, so that what another daemon has just committed shows.
CREATE FUNCTION ballast.era_close(p_id bigint) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    UPDATE ballast.era SET state = 'closing', changed_at = clock_timestamp()
     WHERE id = p_id AND state = 'open';
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', p_id || ' closing');
    END IF;
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- T4: era p_id has no reader any more. Not on a new timeline: that is the operator's to accept.
CREATE FUNCTION ballast.era_drain(p_id bigint) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    UPDATE ballast.era SET state = 'drained', changed_at = clock_timestamp()
     WHERE id = p_id AND state = 'closing' AND timeline = ballast.timeline();
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', p_id || ' drained');
    END IF;
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- T5: opens era p_id on one verified Redis, by compare-and-set on the drained era p_drained.
CREATE FUNCTION ballast.era_open(p_drained bigint, p_id bigint, p_nonce text, p_run_id text,
                                 p_replid text) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    UPDATE ballast.era
       SET id = p_id, nonce = p_nonce, state = 'open', run_id = p_run_id, replid = p_replid,
           changed_at = clock_timestamp()
     WHERE id = p_drained AND state = 'drained' AND p_id > p_drained
       AND timeline = ballast.timeline();
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', p_id || ' open');
    END IF;
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

GRANT EXECUTE ON FUNCTION ballast.timeline(), ballast.era_present(),
    ballast.lease_renew(text, text, bigint, text, text), ballast.lease_drop(text),
    ballast.lease_expel(text, bigint),
    ballast.era_close(bigint), ballast.era_drain(bigint),
    ballast.era_open(bigint, bigint, text, text, text) TO ballast_daemon;

RESET ROLE;
