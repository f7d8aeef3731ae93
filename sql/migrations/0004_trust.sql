-- The era and the leases: the store's side of the trust rules T1 to T5 and T14. Each function is
-- one step of the protocol and decides nothing; the daemon's trust machine does.

SET LOCAL ROLE ballast_owner;

-- The timeline that this server writes on, as in the names of its WAL files; NULL on a standby.
-- (Of plpgsql, as the next: a function of SQL would be parsed and planned anew in each commit.)
CREATE FUNCTION ballast.timeline() RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RETURN CASE WHEN NOT pg_is_in_recovery()
                THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END;
END
$$;

CREATE TYPE ballast.era_row AS (
    era_id bigint,
    era_nonce text,
    era_state text,
    era_run_id text,
    era_replid text,
    era_switched_off boolean
);

CREATE TYPE ballast.lease_row AS (
    era_id bigint,
    era_nonce text,
    era_state text,
    era_run_id text,
    era_replid text,
    era_switched_off boolean,
    era_timeline text,
    timeline text,
    fsync boolean,
    daemon text,
    renewals bigint,
    seen bigint,
    run_id text,
    replid text,
    fenced boolean,
    born bigint,
    departed bigint,
    xact bigint
);

-- T14: the first to touch the store on a new timeline closes the era. What was granted before may
-- be forgotten here, so the id jumps over all that can have been: a daemon drops whatever it trusts
-- below it, and only a daemon that has done so counts as having seen it.
CREATE FUNCTION ballast.note_timeline() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE ballast.era
       SET id = id + 1048576, nonce = '', state = 'closing', timeline = ballast.timeline(),
           changed_at = clock_timestamp()
     WHERE timeline <> ballast.timeline();
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', 'timeline');
    END IF;
END
$$;

-- The era as a statement that reads money sees it (T7 b): what was drained on another timeline may
-- have been opened since, there, and still be trusted (T14).
CREATE VIEW ballast.era_seen AS
SELECT e.id, CASE WHEN e.timeline = ballast.timeline() THEN e.state ELSE 'closing' END AS state
  FROM ballast.era AS e;

-- T14 where the timeline stays: a daemon knows of era p_known, or of renewals of its lease, that this
-- store has forgotten, because it was restored from files. The same as on a new timeline, and nothing
-- is posted until an operator has accepted what is missing. Said twice, or by two daemons, it does
-- nothing more.
CREATE FUNCTION ballast.era_rewound(p_known bigint) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    PERFORM ballast.note_timeline();
    UPDATE ballast.era
       SET id = p_known + 1048576, nonce = '', state = 'closing', settled = '', accepted = '',
           changed_at = clock_timestamp()
     WHERE id <= p_known;
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', 'rewound');
    END IF;
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- Whether money may move: the timeline is settled, and an operator has accepted it.
CREATE FUNCTION ballast.timeline_is_accepted() RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    now_on CONSTANT text := ballast.timeline();
BEGIN
    PERFORM FROM ballast.era AS e WHERE e.settled = now_on AND e.accepted = now_on;
    RETURN FOUND;
END
$$;

-- T1: renews (or takes) the caller's lease and returns, read after it in the same transaction,
-- every lease with the era. A fenced lease, or one that another incarnation of the name took over,
-- is not renewed, and the caller's own row is returned as fenced: it must not serve on. p_health is
-- for ballast.health_of(). p_published: see the table; NULL: the daemon does not know yet. xact is the
-- renewal's own transaction: what is posted after its answer comes later.
-- Locks: the lease row, to the commit.
CREATE FUNCTION ballast.lease_renew(p_daemon text, p_incarnation text, p_seen bigint,
                                    p_run_id text, p_replid text, p_health text DEFAULT '',
                                    p_published bigint DEFAULT NULL)
RETURNS SETOF ballast.lease_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    is_mine boolean;
BEGIN
    PERFORM ballast.note_timeline();
    INSERT INTO ballast.lease AS l (daemon, incarnation, renewals, seen, run_id, replid, health,
                                    published)
    VALUES (p_daemon, p_incarnation, 1, p_seen, p_run_id, p_replid, p_health,
            coalesce(p_published, pg_current_xact_id()::text::bigint))
    ON CONFLICT (daemon) DO UPDATE
       SET renewals = l.renewals + 1, seen = greatest(l.seen, excluded.seen),
           published = greatest(l.published, p_published),
           run_id = excluded.run_id, replid = excluded.replid, health = excluded.health,
           told_at = excluded.told_at
     WHERE NOT l.fenced AND l.incarnation = excluded.incarnation;
    is_mine := FOUND;
    RETURN QUERY
    SELECT e.id, e.nonce, e.state, e.run_id, e.replid, e.switched_off, e.timeline,
           ballast.timeline(), current_setting('fsync')::boolean, l.daemon, l.renewals, l.seen, l.run_id, l.replid,
           l.fenced OR (l.daemon = p_daemon AND NOT is_mine), l.born, e.departed,
           pg_current_xact_id()::text::bigint
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

-- T12: a step of the take-over of a daemon that fell silent, whose row is still as the caller has seen
-- it: no renewal has come since, nor another row in its place. The first step fences it: postings under
-- way are waited for, none begins any more, and a renewal that comes does not count. Then all accounts
-- are looked through for what may have been changed since the daemon had published everything, by
-- whomever, and that is announced: whichever daemon lives publishes it (ballast.announce()). At last the
-- row goes. While the era is drained there is nothing to publish, and it goes at once.
-- A step is short, since the caller must renew its own lease in between. p_block is 0 at first, then
-- what the step before returned: the block of ballast.account to go on from; 0: the row is gone; NULL:
-- it is not that row any more, or somebody else has taken over. An account that moves to a block that
-- was passed has been changed by somebody who lives and publishes it himself.
-- Locks: the lease row, then the announcements; the era row where the lease goes.
CREATE FUNCTION ballast.lease_expel(p_daemon text, p_born bigint, p_renewals bigint, p_block bigint)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    l_published bigint;
    l_next CONSTANT bigint := p_block + 1024; -- 8 MB, a few milliseconds
    l_ages integer; -- as age() counts transactions: a row's xmin has 32 bits
BEGIN
    SELECT l.published INTO l_published
      FROM ballast.lease AS l
     WHERE l.daemon = p_daemon AND l.born = p_born AND l.renewals = p_renewals
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT FROM ballast.era_seen AS e WHERE e.state = 'drained') THEN
        UPDATE ballast.lease SET fenced = true WHERE daemon = p_daemon AND NOT fenced;
        l_ages := least(pg_current_xact_id()::text::bigint - l_published, 2147483647);
        -- A younger transaction than this one has an age below 0, and so has one of two thousand
        -- million transactions ago: there are never as many between as the first limit allows.
        PERFORM ballast.announce(ARRAY(
            SELECT a.account_id
              FROM ballast.account AS a
             WHERE a.ctid >= format('(%s,0)', p_block)::tid AND a.ctid < format('(%s,0)', l_next)::tid
               AND age(a.xmin) BETWEEN -1000000 AND l_ages));
        IF l_next * current_setting('block_size')::bigint < pg_relation_size('ballast.account') THEN
            RETURN l_next;
        END IF;
    END IF;
    DELETE FROM ballast.lease WHERE daemon = p_daemon;
    UPDATE ballast.era SET departed = departed + 1;
    RETURN 0;
END
$$;

CREATE FUNCTION ballast.era_present() RETURNS SETOF ballast.era_row
LANGUAGE sql STABLE
AS $$
    SELECT e.id, e.nonce, e.state, e.run_id, e.replid, e.switched_off FROM ballast.era AS e
$$;

-- The era as it stands, on the present timeline.
CREATE FUNCTION ballast.era_read() RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    PERFORM ballast.note_timeline();
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- T3: closes era p_id if it is open. Every outcome returns the era as it stands afterwards; it is
-- read by a later statement, so that what another daemon has just committed shows.
CREATE FUNCTION ballast.era_close(p_id bigint) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    PERFORM ballast.note_timeline();
    UPDATE ballast.era SET state = 'closing', changed_at = clock_timestamp()
     WHERE id = p_id AND state = 'open';
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', p_id || ' closing');
    END IF;
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- T4: era p_id has no reader any more, and the timeline is settled.
CREATE FUNCTION ballast.era_drain(p_id bigint) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    PERFORM ballast.note_timeline();
    UPDATE ballast.era
       SET state = 'drained', settled = timeline, changed_at = clock_timestamp()
     WHERE id = p_id AND state = 'closing';
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
    PERFORM ballast.note_timeline();
    UPDATE ballast.era
       SET id = p_id, nonce = p_nonce, state = 'open', run_id = p_run_id, replid = p_replid,
           changed_at = clock_timestamp()
     WHERE id = p_drained AND state = 'drained' AND p_id > p_drained AND NOT switched_off;
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', p_id || ' open');
    END IF;
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- The operator's switch: off closes the era and keeps it closed, so that every answer comes from
-- the store, until on. Whoever waits for the drain is a daemon (T4).
CREATE FUNCTION ballast.cache_switch(p_off boolean, p_note text) RETURNS SETOF ballast.era_row
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    PERFORM ballast.note_timeline();
    UPDATE ballast.era
       SET switched_off = p_off, note = p_note, changed_at = clock_timestamp(),
           state = CASE WHEN p_off AND state = 'open' THEN 'closing' ELSE state END;
    PERFORM pg_notify('ballast_era', CASE WHEN p_off THEN 'off' ELSE 'on' END);
    RETURN QUERY SELECT * FROM ballast.era_present();
END
$$;

-- T14: an operator has looked and lets money move on the present timeline.
CREATE FUNCTION ballast.accept_timeline(p_note text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    PERFORM ballast.note_timeline();
    UPDATE ballast.era SET accepted = timeline, note = p_note WHERE accepted <> timeline;
    IF FOUND THEN
        PERFORM pg_notify('ballast_era', 'accepted');
        RETURN true;
    END IF;
    RETURN false;
END
$$;

CREATE TYPE ballast.announced_row AS (
    era_id bigint,
    era_state text,
    account_id text,
    asset text,
    balance bigint,
    held bigint,
    floor bigint,
    status text,
    version bigint,
    mark bigint
);

-- One page of the announced accounts, with their present rows and the era of the same snapshot; one
-- row without an account if there are no more. A function for its settings, as read_accounts().
CREATE FUNCTION ballast.announced(p_after text, p_limit integer) RETURNS SETOF ballast.announced_row
LANGUAGE plpgsql STABLE
SET search_path = ballast, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT e.id, e.state, n.account_id::text, n.asset::text, n.balance, n.held::bigint,
           n.floor, n.status::text, n.version::bigint, n.mark
      FROM ballast.era_seen AS e
      LEFT JOIN (SELECT a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version,
                        x.mark
                   FROM (SELECT y.account_id, y.mark
                           FROM ballast.announcement AS y
                          WHERE y.account_id > p_after
                          ORDER BY y.account_id
                          LIMIT p_limit) AS x
                   JOIN ballast.account AS a ON a.account_id = x.account_id) AS n ON true
     ORDER BY n.account_id;
END
$$;

-- What was published is announced no longer, unless it was announced again since. Rows that a
-- posting under way holds are left: it announces them again. Not worth a wait for the disk: what
-- comes back after a crash is published again.
CREATE FUNCTION ballast.forget_announced(p_accounts text[], p_marks bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    forgotten bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM ballast.announcement AS n
     USING (SELECT x.account_id
              FROM unnest(p_accounts, p_marks) AS p (account, mark)
              JOIN ballast.announcement AS x ON x.account_id = p.account AND x.mark = p.mark
               FOR UPDATE OF x SKIP LOCKED) AS done
     WHERE n.account_id = done.account_id;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

GRANT SELECT ON ballast.era_seen TO ballast_daemon, ballast_auditor;
GRANT EXECUTE ON FUNCTION ballast.timeline() TO ballast_auditor;
GRANT EXECUTE ON FUNCTION ballast.announced(text, integer),
    ballast.forget_announced(text[], bigint[]) TO ballast_daemon;
GRANT EXECUTE ON FUNCTION ballast.timeline(), ballast.timeline_is_accepted(),
    ballast.era_read(), ballast.cache_switch(boolean, text), ballast.accept_timeline(text), ballast.era_present(),
    ballast.lease_renew(text, text, bigint, text, text, text, bigint), ballast.lease_drop(text),
    ballast.lease_expel(text, bigint, bigint, bigint),
    ballast.era_close(bigint), ballast.era_drain(bigint), ballast.era_rewound(bigint),
    ballast.era_open(bigint, bigint, text, text, text) TO ballast_daemon;

RESET ROLE;
