/* What is decided against customers: the fuses that stop it, and charges without an answer. */
#include <inttypes.h>
#include <string.h>

#include "gen/sql.h"
#include "ops/doctor_checks.h"

/* A processor that is asked again answers by then. */
#define CHARGE_OLD_S 3600

static void not_answered(const struct doctor_sql *sql, struct doctor_finding *finding)
{
    doctor_find(finding, DOCTOR_SKIPPED, "PostgreSQL does not tell: %s", sql->why);
}

/* Columns of sql_fuse_list. */
enum { AT_NAME, AT_STATE, AT_COUNTED, AT_ALLOWED };

void check_postgres_fuses(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;

    if (!doctor_sql_ask(sql, sql_fuse_list, DOCTOR_STATEMENT_MS) || sql->rows != 2) {
        not_answered(sql, finding);
        return;
    }
    for (size_t row = 0; row < sql->rows; row++) {
        const char *name = doctor_sql_cell(sql, row, AT_NAME);
        if (strcmp(doctor_sql_cell(sql, row, AT_STATE), "blown") == 0) {
            doctor_find(finding, DOCTOR_FAIL,
                        "the fuse of %s is blown: they are refused on every daemon until an "
                        "operator has looked at the incidents",
                        name);
            doctor_next(finding, "ballast -c %s fuse; then ballast fuse reset %s --reason TEXT",
                        exam->config->path, name);
            return;
        }
    }
    doctor_find(finding, DOCTOR_OK, "%s of %s charges, %s of %s suspensions in the window",
                doctor_sql_cell(sql, 0, AT_COUNTED), doctor_sql_cell(sql, 0, AT_ALLOWED),
                doctor_sql_cell(sql, 1, AT_COUNTED), doctor_sql_cell(sql, 1, AT_ALLOWED));
}

/* Columns of sql_doctor_charges. */
enum { AT_OPEN, AT_OLDEST, AT_CHARGE, AT_ACCOUNT };

void check_postgres_charges(struct doctor_exam *exam, struct doctor_finding *finding)
{
    struct doctor_sql *sql = &exam->postgres.sql;

    if (!doctor_sql_ask(sql, sql_doctor_charges, DOCTOR_STATEMENT_MS) || sql->rows == 0) {
        not_answered(sql, finding);
        return;
    }
    int64_t oldest_s = doctor_sql_number(sql, 0, AT_OLDEST);
    if (oldest_s > CHARGE_OLD_S) {
        doctor_find(finding, DOCTOR_WARN,
                    "charge %s of %s has not been settled for %" PRId64
                    " minutes: ask the processor what became of it; %s are open",
                    doctor_sql_cell(sql, 0, AT_CHARGE), doctor_sql_cell(sql, 0, AT_ACCOUNT),
                    oldest_s / 60, doctor_sql_cell(sql, 0, AT_OPEN));
        doctor_next(finding, "ballast -c %s charge list", exam->config->path);
    } else {
        doctor_find(finding, DOCTOR_OK, "%s charges are open, the oldest for %" PRId64 " s",
                    doctor_sql_cell(sql, 0, AT_OPEN), oldest_s);
    }
}
