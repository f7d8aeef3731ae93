-- Charges, suspensions and denials: what is decided against a customer, and the record of it.
--
-- Each is decided by post_in_order() in the transaction that records it, under the lock of the
-- account (invariant 6). Both state machines stand here as constraints, so that no hand can write
-- what the posting functions would not.

SET LOCAL ROLE ballast_owner;

-- --- charges --------------------------------------------------------------------------------------

CREATE SEQUENCE ballast.charge_id AS bigint CACHE 1;

-- An intent to charge a card: committed before anyone calls a processor, and settled once. balance,
-- held and version are those that it was decided on; settled_version is that of the account when
-- it was settled, after the credit if there is one.
CREATE TABLE ballast.charge (
    charge bigint PRIMARY KEY,
    amount bigint NOT NULL,
    threshold bigint NOT NULL,
    balance bigint NOT NULL,
    held bigint NOT NULL,
    version bigint NOT NULL,
    settled_version bigint,
    transfer bigint,
    begun_at timestamptz NOT NULL,
    settled_at timestamptz,
    account_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'begun',
    CONSTRAINT charge_amount CHECK (amount > 0),
    CONSTRAINT charge_was_due CHECK (balance - held < threshold),
    CONSTRAINT charge_state CHECK (state IN ('begun', 'unknown', 'succeeded', 'failed')),
    CONSTRAINT charge_money CHECK ((state = 'succeeded') = (transfer IS NOT NULL)),
    CONSTRAINT charge_settled CHECK (
        CASE WHEN state IN ('succeeded', 'failed') THEN num_nulls(settled_at, settled_version) = 0
             ELSE num_nonnulls(settled_at, settled_version) = 0 END)
);

-- At most one open intent an account: the cooldown of auto-recharge.
CREATE UNIQUE INDEX charge_open ON ballast.charge (account_id)
    WHERE state IN ('begun', 'unknown');

-- begun -> unknown, succeeded, failed; unknown -> succeeded, failed; these two stay.
CREATE FUNCTION ballast.check_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.state = 'begun' THEN
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE'
          AND (OLD.state, NEW.state) IN (('begun', 'unknown'), ('begun', 'succeeded'),
                                         ('begun', 'failed'), ('unknown', 'succeeded'),
                                         ('unknown', 'failed'))
          AND (NEW.charge, NEW.amount, NEW.threshold, NEW.balance, NEW.held, NEW.version,
               NEW.begun_at, NEW.account_id)
            = (OLD.charge, OLD.amount, OLD.threshold, OLD.balance, OLD.held, OLD.version,
               OLD.begun_at, OLD.account_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of charge % refused: from % to %', TG_OP, coalesce(NEW.charge, OLD.charge),
            coalesce(OLD.state, 'nothing'), coalesce(NEW.state, 'nothing')
        USING ERRCODE = 'check_violation',
              HINT = 'A charge is begun, perhaps unknown for a while, and settled once.';
END
$$;

CREATE TRIGGER transitions BEFORE INSERT OR UPDATE OR DELETE ON ballast.charge
    FOR EACH ROW EXECUTE FUNCTION ballast.check_charge();
CREATE TRIGGER posting_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ballast.charge
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();

-- --- the status of accounts -----------------------------------------------------------------------

-- active <-> suspended, and from both to closed, for good.
CREATE FUNCTION ballast.check_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account % refused: from % to %', NEW.account_id,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.status ELSE 'nothing' END, NEW.status
        USING ERRCODE = 'check_violation',
              HINT = 'An account is opened active; one that is closed stays closed.';
END
$$;

CREATE TRIGGER begins_active BEFORE INSERT ON ballast.account
    FOR EACH ROW WHEN (NEW.status <> 'active') EXECUTE FUNCTION ballast.check_status();
CREATE TRIGGER transitions AFTER UPDATE OF status ON ballast.account
    FOR EACH ROW WHEN (OLD.status = 'closed' AND NEW.status <> 'closed')
    EXECUTE FUNCTION ballast.check_status();

-- --- the log of decisions -------------------------------------------------------------------------

-- Every suspension, denial, charge, settlement and change of a fuse, with what the store read when
-- it decided, who asked for it, and the state of the cache's era and of the daemon at that moment.
-- Kept like the journal, of which it is the evidence; but for denials, which change no account and
-- are as many as somebody asks for: those of long ago are forgotten (ballast.prune_denials()).
CREATE TABLE ballast.decision (
    decision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    amount bigint,
    balance bigint,
    held bigint,
    floor bigint,
    version bigint,
    charge bigint,
    era bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    account_id text COLLATE "C",
    status text COLLATE "C",
    key text COLLATE "C",
    daemon text NOT NULL,
    era_state text NOT NULL,
    health text NOT NULL,
    detail text,
    CONSTRAINT decision_kind CHECK (kind IN ('suspend', 'deny', 'charge', 'settle', 'fuse')),
    CONSTRAINT decision_evidence CHECK (
        kind = 'fuse' OR num_nulls(account_id, balance, held, floor, version, status) = 0)
);

CREATE INDEX decision_kind_at ON ballast.decision (kind, at);

CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON ballast.decision
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_rewrite();
CREATE TRIGGER append_only_but_old_denials BEFORE DELETE ON ballast.decision
    FOR EACH ROW WHEN (OLD.kind <> 'deny' OR OLD.at > clock_timestamp() - interval '1 day')
    EXECUTE FUNCTION ballast.refuse_rewrite();
CREATE TRIGGER posting_only BEFORE INSERT OR DELETE ON ballast.decision
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();

-- Forgets so many denials at most of those older than so many days, the oldest first; returns how
-- many.
CREATE FUNCTION ballast.prune_denials(p_days integer, p_most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    pruned bigint;
BEGIN
    DELETE FROM ballast.decision AS d
     WHERE d.decision = ANY (ARRAY(
               SELECT x.decision FROM ballast.decision AS x
                WHERE x.kind = 'deny' AND x.at < clock_timestamp() - make_interval(days => p_days)
                ORDER BY x.at LIMIT p_most));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

-- Who decides: the daemon that posts, else the user in SQL.
CREATE FUNCTION ballast.decider() RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(nullif(current_setting('ballast.lease', true), ''), 'sql:' || session_user)
$$;

-- The health of a daemon as the last renewal of its lease told it, a third of a lease ago where all
-- is well: "ok", or its worst part and why. What is older was not renewed, and may be so no more. The
-- words before the first colon are few: incidents are totalled by them.
CREATE FUNCTION ballast.health_of(p_daemon text) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((
        SELECT CASE WHEN l.told_at < clock_timestamp() - interval '2 s'
                    THEN 'told more than 2 s before: ' ELSE '' END
               || coalesce(nullif(l.health, ''), 'not told')
          FROM ballast.lease AS l
         WHERE l.daemon = p_daemon), 'no lease')
$$;

-- A decision as post_in_order() has it.
CREATE TYPE ballast.decided AS (
    kind text,
    account_id text,
    key text,
    amount bigint,
    charge bigint,
    balance bigint,
    held bigint,
    floor bigint,
    status text,
    version bigint,
    detail text
);

CREATE FUNCTION ballast.note_decisions(p_decided ballast.decided[]) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO ballast.decision (kind, account_id, key, amount, charge, balance, held, floor,
                                  status, version, detail, daemon, era, era_state, health)
    SELECT x.kind, x.account_id, x.key, x.amount, x.charge, x.balance, x.held, x.floor, x.status,
           x.version, x.detail, d.daemon, e.id, e.state, d.health
      FROM unnest(p_decided) WITH ORDINALITY AS x, ballast.era AS e,
           (SELECT y AS daemon, ballast.health_of(y) AS health FROM ballast.decider() AS y) AS d
     ORDER BY x.ordinality
$$;

GRANT SELECT ON ballast.charge, ballast.decision TO ballast_daemon, ballast_auditor;
GRANT EXECUTE ON FUNCTION ballast.prune_denials(integer, bigint) TO ballast_daemon;

RESET ROLE;
