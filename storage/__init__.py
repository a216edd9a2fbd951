"""Durable state: engine, tables, functions on a Session, migrations.

Functions take a `Session`, flush and never commit; `engine.Database` opens the one short
transaction around them. Absent is `None`. They return domain records, never rows.
"""

if __name__ != "cornerman.storage":
    raise ImportError("This folder is the package cornerman.storage; import it by that name.")
