"""Kills the whole process group at a chosen moment: Python imports this first wherever it is on PYTHONPATH.

CRASH_AT is `replace:TEXT` (as a file or folder whose path holds TEXT is about to take its place) or
`sql:TEXT` (as SQLite is about to run a statement that holds TEXT).
"""

import os
import signal
import sqlite3

KIND, _, TEXT = os.environ.get("CRASH_AT", "").partition(":")


def crash_at(words: object) -> None:
    if TEXT in str(words):
        print(f"crash at {words}", flush=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)


if KIND == "replace":
    replace = os.replace

    def crashing(source, target, **more):
        crash_at(target)
        replace(source, target, **more)

    vars(os)["replace"] = crashing

if KIND == "sql":
    connect = sqlite3.dbapi2.connect

    def traced(*words, **more):
        connection = connect(*words, **more)
        connection.set_trace_callback(crash_at)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = traced
