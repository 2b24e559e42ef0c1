"""Runs the statements of docs/analytics.md, which are Athena's, with DuckDB over lines of a DynamoDB export.

    python run.py docs/analytics.md export.json.gz SINCE UNTIL

writes {"outcomes": [row, ...], "durations": [...], "promises": [...]}.
"""

import gzip
import json
import re
import sys
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp


def statements(page):
    """Each SQL block of the page, by the name in its first line."""
    for name, text in re.findall(r"```sql\n-- (\w+)\n(.*?)```", page, re.DOTALL):
        yield name, sqlglot.parse_one(text, read="athena")


def columns(table):
    """The columns of a CREATE EXTERNAL TABLE."""
    return {
        column.name: column.args["kind"]
        for column in table.find_all(exp.ColumnDef)
        if isinstance(column.parent, exp.Schema)
    }


def check(name, kind, values):
    """That the values are of this type, and that every field of it occurs."""
    fields = kind.expressions
    if not fields:
        assert values, f"`{name}` is in no line of the export"
        assert all(isinstance(value, str) for value in values), f"`{name}` is not text"
    for field in fields:
        inner = [value[field.name] for value in values if field.name in value]
        check(f"{name}.{field.name}", field.args["kind"], inner)


def main(page, export, since, until):
    with gzip.open(export, "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    # Nothing is fetched: an extension that is not built in is an error.
    engine = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    results = {}
    for name, statement in statements(Path(page).read_text(encoding="utf-8")):
        if name == "table":
            types = {}
            for column, kind in columns(statement).items():
                check(column, kind, [item[column] for item in items])
                types[column] = kind.sql("duckdb")
            relation = engine.read_json(
                export, columns=types, format="newline_delimited", compression="gzip"
            )
            relation.create(statement.find(exp.Table).name)
        elif name == "view":
            engine.execute(statement.sql("duckdb"))
        else:
            rows = engine.execute(statement.sql("duckdb"), [since, until])
            heads = [head[0] for head in rows.description]
            results[name] = [dict(zip(heads, row)) for row in rows.fetchall()]
    json.dump(results, sys.stdout, default=int)


main(*sys.argv[1:])
