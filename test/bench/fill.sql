-- What the bench fills and measures the store with: the posting function itself, called by
-- procedures that commit a chunk at a time, so that no transaction drags dead versions along.

CREATE FUNCTION bench_name(n integer) RETURNS text
LANGUAGE sql STRICT IMMUTABLE
RETURN 'b' || to_char(n, 'FM0000000');

-- Posts one batch of opens or credits, an amount each (opens: the floor); all must be done. Credits
-- are announced: every posting of SQL must be, or a daemon goes on showing what was before.
CREATE FUNCTION bench_post(p_kind text, p_names text[], p_keys text[], p_amount bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    size CONSTANT integer[] := ARRAY[cardinality(p_names)];
    refused bigint;
BEGIN
    SELECT count(*) FILTER (WHERE outcome <> 'OK') INTO refused
      FROM ballast.post_batch(
               array_fill(p_kind, size), p_keys, p_names,
               array_fill(CASE p_kind WHEN 'credit' THEN '@world' END, size),
               array_fill(CASE p_kind WHEN 'open' THEN 'USD/2' END, size),
               array_fill(p_amount, size), array_fill(NULL::bigint, size),
               array_fill(NULL::text, size), ARRAY(SELECT generate_series(0, size[1] - 1)));
    IF refused > 0 THEN
        RAISE EXCEPTION '% of % postings were refused', refused, size[1];
    END IF;
END
$$;

-- Opens the accounts of these numbers; their floor is -1.
CREATE PROCEDURE bench_open(p_first integer, p_last integer)
LANGUAGE plpgsql
AS $$
DECLARE
    names text[];
BEGIN
    FOR chunk IN p_first .. p_last BY 1000 LOOP
        names := ARRAY(SELECT bench_name(n)
                         FROM generate_series(chunk, least(chunk + 999, p_last)) AS n);
        PERFORM bench_post('open', names, array_fill(NULL::text, ARRAY[cardinality(names)]), -1);
        COMMIT;
    END LOOP;
END
$$;

-- So many credits of an amount, to the accounts of these numbers in turns.
CREATE PROCEDURE bench_credit(p_first integer, p_last integer, p_rows integer, p_key text,
                              p_amount bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    names text[];
    keys text[];
BEGIN
    FOR chunk IN 0 .. p_rows - 1 BY 1000 LOOP
        SELECT array_agg(bench_name(p_first + n % (p_last - p_first + 1)) ORDER BY n),
               array_agg(p_key || to_char(n, 'FM-00000000') ORDER BY n)
          INTO names, keys
          FROM generate_series(chunk, least(chunk + 999, p_rows - 1)) AS n;
        PERFORM bench_post('credit', names, keys, p_amount);
        PERFORM ballast.announce(names);
        COMMIT;
    END LOOP;
END
$$;

-- The store's cost of batches of one size: credits of random accounts of so many, each batch its
-- own transaction, over and over for some seconds, and three times at least. Returns the batches,
-- and the microseconds that the function and the commit took in all. What builds the arrays is not
-- counted, and neither is the first batch, which plans the statements.
CREATE PROCEDURE bench_batches(p_size integer, p_accounts integer, p_seconds float8, p_key text,
                               INOUT batches bigint, INOUT function_us float8,
                               INOUT commit_us float8)
LANGUAGE plpgsql
AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    start timestamptz;
    posted timestamptz;
    names text[];
    keys text[];
BEGIN
    batches := -1;
    function_us := 0;
    commit_us := 0;
    WHILE batches < 3 OR extract(epoch FROM clock_timestamp() - began) < p_seconds LOOP
        SELECT array_agg(bench_name(floor(random() * p_accounts)::integer)),
               array_agg(p_key || to_char((batches + 1) * p_size + n, 'FM-00000000'))
          INTO names, keys
          FROM generate_series(1, p_size) AS n;
        start := clock_timestamp();
        PERFORM bench_post('credit', names, keys, 1);
        posted := clock_timestamp();
        COMMIT;
        IF batches >= 0 THEN
            function_us := function_us + 1e6 * extract(epoch FROM posted - start);
            commit_us := commit_us + 1e6 * extract(epoch FROM clock_timestamp() - posted);
        END IF;
        batches := batches + 1;
    END LOOP;
END
$$;
