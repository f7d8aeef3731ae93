-- Holds: money that is set aside until it is captured, released, or its time is up.
--
-- A hold counts in account.held from its own version of the account to the one that ends it. Its
-- time is up by the clock of the store, but it is held until the store has posted the expiry, with
-- a version and a row in account_event like any other change. Who posts it: whatever posts to the
-- account and finds that it needs the money, in the same transaction (post_in_order()), and the
-- kind `expire` of post_batch(), which daemons send from time to time.
--
-- One transaction posts the expiries of a thousand holds at most, however many are due. What is due
-- beyond that counts as free for every rule (due_amounts()): nobody is refused, charged or suspended
-- for it, an account that has nothing else is closed, and it is captured and released no more; only
-- account.held, and with it the available that is shown, has it as held until its expiry is posted,
-- on an account that is closed by then too.

SET LOCAL ROLE ballast_owner;

CREATE SEQUENCE ballast.hold_id AS bigint CACHE 1;

CREATE DOMAIN ballast.hold_state AS text COLLATE "C"
    CHECK (VALUE IN ('held', 'captured', 'released', 'expired'));

-- fillfactor leaves room for the one update that ends a hold.
CREATE TABLE ballast.hold (
    hold bigint PRIMARY KEY,
    amount ballast.positive NOT NULL,
    version bigint NOT NULL,
    transfer bigint,
    released_version bigint,
    begun_at timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    ended_at timestamptz,
    account_id text COLLATE "C" NOT NULL,
    state ballast.hold_state NOT NULL DEFAULT 'held',
    CONSTRAINT hold_end CHECK (
        CASE state WHEN 'held' THEN ended_at IS NULL
                   WHEN 'expired' THEN coalesce(ended_at >= expires, false)
                   ELSE ended_at IS NOT NULL END
        AND (state = 'released') = (released_version IS NOT NULL)
        AND (state = 'captured') = (transfer IS NOT NULL))
) WITH (fillfactor = 80);

-- The open ones, by the time that is left to them: of an account, and of all.
CREATE INDEX hold_account ON ballast.hold (account_id, expires) WHERE state = 'held';
CREATE INDEX hold_expires ON ballast.hold (expires) WHERE state = 'held';

-- A hold begins as held, ends once, and stays as it ended. The triggers say in their conditions which
-- rows break that: a condition costs a fraction of a call. Those of updates, here and on accounts, come
-- after them: before an update of a table that has any, each row is locked first, with a record of that
-- in the log.
CREATE FUNCTION ballast.refuse_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of hold % refused: from % to %', TG_OP, coalesce(NEW.hold, OLD.hold),
            coalesce(OLD.state, 'nothing'), coalesce(NEW.state, 'nothing')
        USING ERRCODE = 'check_violation',
              HINT = 'A hold is held, and then captured, released or expired for good.';
END
$$;

CREATE TRIGGER transitions AFTER UPDATE ON ballast.hold
    FOR EACH ROW WHEN (OLD.state <> 'held' OR NEW.state = 'held'
        OR (NEW.hold, NEW.amount, NEW.version, NEW.begun_at, NEW.expires, NEW.account_id)
         IS DISTINCT FROM
           (OLD.hold, OLD.amount, OLD.version, OLD.begun_at, OLD.expires, OLD.account_id))
    EXECUTE FUNCTION ballast.refuse_hold();
CREATE TRIGGER stays BEFORE DELETE ON ballast.hold
    FOR EACH ROW EXECUTE FUNCTION ballast.refuse_hold();
CREATE TRIGGER begins_held BEFORE INSERT ON ballast.hold
    FOR EACH ROW WHEN (NEW.state <> 'held') EXECUTE FUNCTION ballast.refuse_hold();
CREATE TRIGGER posting_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ballast.hold
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();

-- When a hold that begins now ends, in the words of the protocol.
CREATE FUNCTION ballast.moment(at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- Accounts with holds whose time is up: those of so many holds that wait longest. What is on an
-- account that somebody has locked is left for later and stands in nobody's way, however much it is:
-- once such accounts are known, the holds are counted without theirs. The locks that show which are
-- free go with the block that is rolled back. What is returned is locked, after p_named, which the
-- caller is going to lock as well: those wait, in sorted order, and what waits for nobody comes last.
CREATE FUNCTION ballast.accounts_due(p_holds bigint, p_named text[]) RETURNS text[]
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    looks_max CONSTANT integer := 10; -- each shows what is locked among so many holds
    v_due text[];
    v_free text[];
    v_locked text[] := '{}';
BEGIN
    BEGIN
        FOR look IN 1 .. looks_max LOOP
            v_due := ARRAY(
                SELECT DISTINCT h.account_id
                  FROM (SELECT d.account_id FROM ballast.hold AS d
                         WHERE d.state = 'held' AND d.expires <= clock_timestamp()
                           AND d.account_id <> ALL (v_locked)
                         ORDER BY d.expires LIMIT p_holds) AS h);
            v_free := ARRAY(
                SELECT a.account_id FROM ballast.account AS a
                 WHERE a.account_id = ANY (v_due)
                   FOR NO KEY UPDATE SKIP LOCKED);
            EXIT WHEN cardinality(v_free) = cardinality(v_due);
            v_locked := v_locked || ARRAY(SELECT unnest(v_due) EXCEPT SELECT unnest(v_free));
        END LOOP;
        RAISE EXCEPTION 'only to look' USING ERRCODE = 'triggered_action_exception';
    EXCEPTION WHEN triggered_action_exception THEN
        NULL;
    END;
    PERFORM FROM (SELECT DISTINCT n AS id FROM unnest(p_named) AS n ORDER BY n) AS x,
         LATERAL (SELECT FROM ballast.account AS a WHERE a.account_id = x.id
                     FOR NO KEY UPDATE) AS l;
    RETURN ARRAY(
        SELECT a.account_id FROM ballast.account AS a
         WHERE a.account_id = ANY (v_free)
           FOR NO KEY UPDATE SKIP LOCKED);
END
$$;

-- Posts the expiries of so many holds of these accounts at most, those first whose time was up first;
-- returns the accounts on which there were some. p_now is a time of the clock after the caller took
-- the locks of the accounts, under which alone holds change.
CREATE FUNCTION ballast.expire_holds(p_accounts text[], p_most bigint, p_now timestamptz)
RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_changed text[];
BEGIN
    PERFORM FROM ballast.hold AS h
      WHERE h.account_id = ANY (p_accounts) AND h.state = 'held' AND h.expires <= p_now
      LIMIT 1;
    IF NOT FOUND THEN
        RETURN '{}';
    END IF;
    WITH due AS MATERIALIZED (
        SELECT x.hold
          FROM unnest(p_accounts) AS n (account_id),
               LATERAL (SELECT h.hold, h.expires FROM ballast.hold AS h
                         WHERE h.account_id = n.account_id AND h.state = 'held'
                           AND h.expires <= p_now
                         ORDER BY h.expires LIMIT p_most) AS x
         ORDER BY x.expires, x.hold LIMIT p_most
    ), ended AS (
        UPDATE ballast.hold AS h
           SET state = 'expired', ended_at = p_now
          FROM due AS d
         WHERE h.hold = ANY (ARRAY[d.hold])
        RETURNING h.hold, h.account_id, h.amount, h.expires
    ), step AS (
        SELECT d.hold, d.account_id, row_number() OVER w AS nth, sum(d.amount) OVER w AS freed
          FROM ended AS d
        WINDOW w AS (PARTITION BY d.account_id ORDER BY d.expires, d.hold)
    ), changed AS (
        UPDATE ballast.account AS a
           SET held = a.held - t.freed, version = a.version + t.count,
               changed_at = greatest(p_now, a.changed_at)
          FROM (SELECT s.account_id, count(*) AS count, max(s.freed)::bigint AS freed
                  FROM step AS s GROUP BY s.account_id) AS t
         WHERE a.account_id = ANY (ARRAY[t.account_id])
        RETURNING a.account_id, a.version, a.balance, a.held, a.floor, a.status, a.changed_at,
                  t.count, t.freed
    ), event AS (
        INSERT INTO ballast.account_event (account_id, version, balance, held, floor, status, kind,
                                           at, detail)
        SELECT c.account_id, c.version - c.count + s.nth, c.balance, c.held + c.freed - s.freed,
               c.floor, c.status, 'expire', c.changed_at, 'hold ' || s.hold
          FROM step AS s
          JOIN changed AS c ON c.account_id = s.account_id)
    SELECT array_agg(c.account_id) INTO v_changed FROM changed AS c;
    RETURN v_changed;
END
$$;

-- What of each account's held stands for holds whose time was up by then; under their locks.
CREATE FUNCTION ballast.due_amounts(p_accounts text[], p_now timestamptz) RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    SELECT ARRAY(SELECT (SELECT coalesce(sum(h.amount), 0)::bigint FROM ballast.hold AS h
                          WHERE h.account_id = p_accounts[n] AND h.state = 'held'
                            AND h.expires <= p_now)
                   FROM generate_subscripts(p_accounts, 1) AS n ORDER BY n)
$$;

GRANT SELECT ON ballast.hold TO ballast_daemon, ballast_auditor;
GRANT EXECUTE ON FUNCTION ballast.moment(timestamptz) TO ballast_daemon, ballast_auditor;

RESET ROLE;
