"""One psql process as a connection: the standard library has no client for PostgreSQL."""

import csv
import io
import subprocess

DONE = "-- done --"


class SqlError(Exception):
    pass


class Connection:
    """Statements go in by standard input and come back as CSV rows of strings, None for NULL."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "--csv", "-t", "-P", "null=\\N", "-v", "VERBOSITY=verbose"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, bufsize=1)

    def send(self, sql):
        self.process.stdin.write(sql.rstrip().rstrip(";") + ";\n\\echo " + DONE + "\n")
        self.process.stdin.flush()

    def receive(self):
        lines = []
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise SqlError("psql ended: " + "".join(lines))
            if line.rstrip("\n") == DONE:
                break
            lines.append(line)
        text = "".join(lines)
        for line in lines:
            if line.startswith(("ERROR:", "FATAL:", "psql:")):
                raise SqlError(text)
        return [[None if field == "\\N" else field for field in row]
                for row in csv.reader(io.StringIO(text))]

    def run(self, sql):
        self.send(sql)
        return self.receive()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def quote(value):
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def array(values, element_type):
    return "ARRAY[" + ",".join(quote(v) for v in values) + "]::" + element_type + "[]"


COLUMNS = (("kind", "text"), ("key", "text"), ("account", "text"), ("peer", "text"),
           ("asset", "text"), ("amount", "bigint"), ("target", "bigint"), ("memo", "text"),
           ("op", "integer"))


def post_batch(rows):
    """The call for rows, each a dict of the columns of ballast.post_batch()."""
    arguments = ",".join(array([row.get(name) for row in rows], kind) for name, kind in COLUMNS)
    return "SELECT * FROM ballast.post_batch(" + arguments + ")"


class Tests:
    """Prints a line a test; run.sh counts the lines."""

    def __init__(self):
        self.failed = 0

    def check(self, name, condition, detail=""):
        if condition:
            print("ok", name, flush=True)
        else:
            self.failed += 1
            print("FAIL", name, detail, flush=True)
