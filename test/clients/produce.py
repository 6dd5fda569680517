# Produces and reads with psycopg 3, as its users would; test/t/030_clients.pl
# says what has to come of it.
import datetime
import psycopg
from psycopg.types.json import Json, Jsonb

connection = psycopg.connect("")
call = lambda sql, *args: connection.execute(sql, args).fetchone()[0]
produce = "SELECT streamhouse.produce(%s, %s, %s)"
when = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)

call(produce, "t", '{"n": 1}', "text")
call(produce, "t", Jsonb({"n": 2}), "jsonb")
call(produce, "t", Json({"n": 3}), "json")
call(produce, "t", None, "null")
call("SELECT streamhouse.produce('t', '{\"n\": 4}', 'literal')")
print("partition:", call(produce[:-1] + ", partition => %s)", "t", Jsonb(5), "partition", 2))
call("SELECT streamhouse.produce('t', %s, key => %s, headers => %s, partition => %s, event_time => %s)",
     "6", "all", Jsonb({"h": "é"}), None, when)
connection.execute("INSERT INTO t (key, value, _timestamp) VALUES (%s, %s, %s)", ("insert", Jsonb([7]), when))
with connection.cursor() as cursor:
    cursor.executemany(produce, [("t", Jsonb(8), "many"), ("t", "9", "many")])
    with cursor.copy("COPY t (key, value) FROM STDIN") as copy:
        copy.write_row(("copy", Jsonb(10)))
print("batch:", call("SELECT streamhouse.produce_batch(%s, %s, %s)", "t", ['{"n": 11}', None, "13"], ["batch", "batch", None]))
print("batch without keys:", call("SELECT streamhouse.produce_batch(%s, %s)", "t", []))
print("bytes:", call("SELECT streamhouse.produce_bytes(%s, %s, %s)", "b", b"\x00\xff", b"\x00key"))
print("bytes batch:", call("SELECT streamhouse.produce_batch_bytes(%s, %s)", "b", [b"\x01", None]))
print("typed:", call(produce, "o", Jsonb({"id": 1, "customer": "é", "amount": "1.50", "at": when.isoformat()}), "é"))
connection.commit()

with connection.transaction():
    call(produce, "t", "0", "not committed")
    try:
        with connection.transaction():
            call("SELECT streamhouse.produce(%s, %s, partition => %s)", "t", "0", 99)
    except psycopg.Error as error:
        print("error:", error.sqlstate, error.diag.message_primary)
    raise psycopg.Rollback()

# the binary format, a pipeline, statements prepared by the server
with connection.pipeline():
    connection.execute("SELECT streamhouse.produce('t', %b, %b)", (Jsonb(14), "binary"))
    for n in range(15, 25):
        connection.execute(produce, ("t", str(n), "pipeline"), prepare=True)
connection.commit()

topic, first, last = connection.execute(
    "SELECT topic::text, sum(first_offset)::int, sum(last_offset - first_offset + 1)::int FROM streamhouse.last_produced() GROUP BY 1").fetchone()
print("last_produced:", topic, last)
rows = connection.execute("SELECT _partition, _offset, key, value FROM streamhouse.read(NULL::t, %s, %s, max_records => %s)", (2, 0, 1)).fetchall()
print("read:", rows[0][:2], len(rows))
with connection.cursor(name="cursor") as cursor:
    print("cursor:", len(cursor.execute("SELECT * FROM t WHERE key = %s", ("pipeline",)).fetchall()))
