-- Fuses: how many suspensions and charges the fleet may make in a while. What went wrong in 2013
-- was right for each customer on his own; only its number told that something was wrong.
--
-- A limit is the greater of a number and a share of the accounts, within a window. The limits are
-- those of the session that posts, from its configuration; what is counted, and whether a fuse is
-- blown, is shared by all daemons. A blown fuse stays blown until an operator resets it; what was
-- decided before that counts no more.

SET LOCAL ROLE ballast_owner;

CREATE TABLE ballast.fuse (
    name text COLLATE "C" PRIMARY KEY,
    kind text COLLATE "C" NOT NULL UNIQUE, -- of the decisions that it counts
    state text COLLATE "C" NOT NULL DEFAULT 'whole',
    counted_from timestamptz NOT NULL DEFAULT '-infinity',
    changed_at timestamptz NOT NULL DEFAULT now(),
    note text,
    CONSTRAINT fuse_state CHECK (state IN ('whole', 'blown'))
);
INSERT INTO ballast.fuse (name, kind) VALUES ('charges', 'charge'), ('suspensions', 'suspend');

CREATE TRIGGER posting_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ballast.fuse
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();

-- The limits of this session's configuration, one row a fuse; the setting reads
-- "charges=NUMBER,PERCENT suspensions=NUMBER,PERCENT window=SECONDS". The accounts are counted as
-- of the last ANALYZE: exact figures would cost a pass over the table.
CREATE FUNCTION ballast.fuse_limits()
RETURNS TABLE (name text, allowed bigint, window_s double precision)
LANGUAGE sql STABLE
AS $$
    SELECT f.name,
           greatest(f.m[1]::bigint,
                    (f.m[2]::double precision / 100 * greatest(c.reltuples, 0))::bigint),
           substring(s.text FROM 'window=([0-9.]+)')::double precision
      FROM (SELECT coalesce(nullif(current_setting('ballast.fuses', true), ''),
                            'charges=100,1 suspensions=100,1 window=600') AS text) AS s,
           LATERAL (SELECT n.name, regexp_match(s.text, n.name || '=([0-9]+),([0-9.]+)') AS m
                      FROM (VALUES ('charges'), ('suspensions')) AS n (name)) AS f,
           pg_class AS c
     WHERE c.oid = 'ballast.account'::regclass
$$;

-- Every fuse with what it allows and what it has counted, as `ballast fuse` shows it.
CREATE FUNCTION ballast.fuse_states()
RETURNS TABLE (name text, state text, counted bigint, allowed bigint, window_s double precision,
               changed_at timestamptz, note text)
LANGUAGE sql STABLE
AS $$
    SELECT f.name, f.state,
           (SELECT count(*) FROM ballast.decision AS d
             WHERE d.kind = f.kind
               AND d.at > greatest(f.counted_from,
                                   clock_timestamp() - make_interval(secs => l.window_s))),
           l.allowed, l.window_s, f.changed_at, f.note
      FROM ballast.fuse AS f
      JOIN ballast.fuse_limits() AS l ON l.name = f.name
     ORDER BY f.name
$$;

-- How many charges [1] and suspensions [2] the fuses let pass yet, -1 where one is blown. Locks the
-- fuses to the commit, so that the fleet counts as one: called when a batch is about to decide, by
-- then under the locks of its accounts, and not for refusals on other grounds.
CREATE FUNCTION ballast.fuses_left() RETURNS bigint[]
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM ballast.fuse AS f ORDER BY f.name FOR NO KEY UPDATE;
    RETURN ARRAY(SELECT CASE WHEN f.state = 'blown' THEN -1
                             ELSE greatest(f.allowed - f.counted, 0) END
                   FROM ballast.fuse_states() AS f ORDER BY f.name);
END
$$;

-- The record of what became of a fuse.
CREATE FUNCTION ballast.note_fuse(p_detail text) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO ballast.decision (kind, detail, daemon, era, era_state, health)
    SELECT 'fuse', p_detail, d.daemon, e.id, e.state, ballast.health_of(d.daemon)
      FROM ballast.era AS e, ballast.decider() AS d (daemon)
$$;

-- Blows a fuse whose lock the caller holds, with the record of it.
CREATE FUNCTION ballast.blow_fuse(p_name text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_note text;
BEGIN
    SELECT format('more than %s in %s s', f.allowed, f.window_s) INTO STRICT v_note
      FROM ballast.fuse_states() AS f WHERE f.name = p_name;
    UPDATE ballast.fuse SET state = 'blown', changed_at = clock_timestamp(), note = v_note
     WHERE name = p_name AND state = 'whole';
    IF FOUND THEN
        PERFORM ballast.note_fuse(format('%s blown: %s', p_name, v_note));
    END IF;
END
$$;

-- An operator has looked. True where the fuse was blown.
CREATE FUNCTION ballast.reset_fuse(p_name text, p_by text, p_reason text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    v_was text;
BEGIN
    SELECT f.state INTO v_was FROM ballast.fuse AS f WHERE f.name = p_name FOR NO KEY UPDATE;
    IF v_was IS NULL THEN
        RAISE EXCEPTION 'no fuse %', p_name USING ERRCODE = 'no_data_found';
    END IF;
    UPDATE ballast.fuse
       SET state = 'whole', counted_from = clock_timestamp(), changed_at = clock_timestamp(),
           note = format('reset by %s: %s', p_by, p_reason)
     WHERE name = p_name;
    PERFORM ballast.note_fuse(format('%s reset by %s, was %s: %s', p_name, p_by, v_was, p_reason));
    RETURN v_was = 'blown';
END
$$;

GRANT SELECT ON ballast.fuse TO ballast_daemon, ballast_auditor;
GRANT EXECUTE ON FUNCTION ballast.fuse_states(), ballast.fuse_limits(),
    ballast.reset_fuse(text, text, text) TO ballast_daemon;
GRANT EXECUTE ON FUNCTION ballast.fuse_states(), ballast.fuse_limits() TO ballast_auditor;

RESET ROLE;
