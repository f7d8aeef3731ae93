"""The rows of `make bench` about holds: what they cost, and what ends them, against our own CREDIT."""

import harness

CONNECTIONS, PIPELINE = 16, 64
THOUSAND = {"connections": 64, "pipeline": 1, "rate": 1000}  # a second: most come by themselves
ENDED_PER_SECOND = 10000  # holds that are made for a second of ending them
FUNDS = 10 ** 9


def fund(bench):
    """So that no hold is refused."""
    bench.in_halves(0, lambda first, last: (
        f"CALL bench_credit({first}, {last}, {last - first + 1}, 'fund-{first}', {FUNDS})"))


def made(bench, hot):
    """Holds through the daemon; the first of a row of ids without a gap, and how many to end: fewer
    than there are, so that what is in flight at the end ends holds too."""
    first = 1 + int(bench.box.psql("SELECT coalesce(max(hold), 0) FROM ballast.hold"))
    count = int(bench.seconds * ENDED_PER_SECOND)
    bench.load("hold", CONNECTIONS, PIPELINE, hot=hot, requests=count + CONNECTIONS * PIPELINE)
    harness.wait_for(lambda: bench.box.psql(
        f"SELECT count(*) = max(s.last_value) - {first} + 1 FROM ballast.hold, ballast.hold_id AS s"
        f" WHERE hold >= {first}").strip() == "t", 10, "the last of the holds")
    return first, count


def ending(bench, mode, hot):
    first, count = made(bench, hot)
    return bench.load(mode, CONNECTIONS, PIPELINE, hot=hot, first=first, requests=count)


def ending_a_thousand(bench, mode):
    first, _ = made(bench, False)
    return bench.load(mode, first=first, requests=int(1000 * bench.seconds), **THOUSAND)


def a_thousand_a_second(bench):
    def credit():
        return bench.load("credit", **THOUSAND)

    def hold():
        return bench.load("hold", **THOUSAND)

    for name, ours in (("hold", hold), ("capture", lambda: ending_a_thousand(bench, "capture")),
                       ("release", lambda: ending_a_thousand(bench, "release"))):
        bench.row(f"{name}-1000", f"mean latency of {name.upper()} at 1,000 a second, 64 "
                  "connections, against our CREDIT", ours, credit, "mean_us", "us")


def holds(bench):
    fund(bench)
    a_thousand_a_second(bench)
    for hot in (False, True):
        where = "one hot account" if hot else f"{bench.accounts} accounts"
        suffix = "-hot" if hot else ""

        def credit(hot=hot):
            return bench.load("credit", CONNECTIONS, PIPELINE, hot=hot)

        for name, what in (("hold", "HOLD"), ("mixed", "CREDIT and HOLD in turns")):
            bench.row(f"{name}{suffix}", f"{what}, {CONNECTIONS} x {PIPELINE} in flight, {where}, "
                      "against our CREDIT",
                      lambda n=name, h=hot: bench.load(n, CONNECTIONS, PIPELINE, hot=h), credit)
        for name in ("capture", "release"):
            bench.row(f"{name}{suffix}", f"{name.upper()}, {CONNECTIONS} x {PIPELINE} in flight, "
                      f"{where}, against our CREDIT",
                      lambda n=name, h=hot: ending(bench, n, h), credit)
