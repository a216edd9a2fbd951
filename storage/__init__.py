"""Durable state: engine, tables, functions on a Session, migrations.

Functions take a `Session`, flush and never commit; `storage.engine.Database` opens the one short
transaction around them. Absent is `None`. They return domain records, never rows.
"""
