-- What bench/segments prints: tables in Markdown from the results of its runs.
CREATE TABLE raw (
    part text, set text, target text, what text, round int, others float8, name text, value float8
);
COPY raw FROM :'results' (FORMAT csv);

CREATE VIEW result AS
SELECT part, set, target, coalesce(what, '') AS what, round, others,
       max(value) FILTER (WHERE name = 'rows') AS rows,
       max(value) FILTER (WHERE name = 'seconds') AS seconds,
       max(value) FILTER (WHERE name = 'processor') AS processor,
       max(value) FILTER (WHERE name = 'bytes') AS bytes,
       max(value) FILTER (WHERE name = 'wal') AS wal,
       max(value) FILTER (WHERE name = 'payload') AS payload
FROM raw
GROUP BY part, set, target, what, round, others;

-- A run beside the plain table's of the same round.
CREATE VIEW compared AS
SELECT r.*, r.rows / r.seconds AS speed, p.seconds / r.seconds AS ratio,
       r.rows / r.processor AS work, p.processor / r.processor AS work_ratio,
       r.bytes / r.rows AS row_bytes, (r.bytes / r.rows) / (p.bytes / p.rows) AS bytes_ratio
FROM result r LEFT JOIN result p
     ON p.target = 'plain' AND (p.part, p.set, p.what, p.round) = (r.part, r.set, r.what, r.round);

CREATE VIEW summary AS
SELECT part, set, target, what, max(rows) AS rows, array_agg(speed) AS speed, array_agg(ratio) AS ratio,
       array_agg(work) AS work, array_agg(work_ratio) AS work_ratio, max(row_bytes) AS row_bytes, max(bytes_ratio) AS bytes_ratio,
       max(payload / rows) AS payload, max(wal / payload) AS wal
FROM compared
GROUP BY 1, 2, 3, 4;

CREATE TABLE set_name (set text, place int, name text);
INSERT INTO set_name VALUES ('records', 1, 'records'), ('lines', 2, 'log lines');

CREATE TABLE target_name (target text, place int, name text);
INSERT INTO target_name VALUES ('plain', 1, 'plain table'), ('lz4', 2, 'segments, lz4'), ('zstd', 3, 'segments, zstd');

CREATE TABLE what_name (part text, what text, place int, name text);
INSERT INTO what_name VALUES
    ('flush', 'batch', 1, 'transactions of 1,000 rows'), ('flush', 'single', 2, 'transactions of one row'),
    ('scan', 'key', 1, 'one column, the key'), ('scan', 'value', 2, 'one column, the value'),
    ('scan', 'full', 3, 'all columns'), ('scan', 'rows', 4, 'none'),
    ('scan', 'key_text', 5, 'the key and its characters'), ('scan', 'value_text', 6, 'the value and its characters'),
    ('scan', 'full_text', 7, 'all columns and their characters'),
    ('poll', '1000', 1, '1,000 rows a transaction'), ('poll', '10000', 2, '10,000 rows a transaction');

CREATE VIEW named AS
SELECT s.*, n.place AS set_place, n.name AS set_name, t.place AS target_place, t.name AS target_name,
       w.place AS what_place, w.name AS what_name
FROM summary s JOIN set_name n USING (set) JOIN target_name t USING (target) LEFT JOIN what_name w USING (part, what);

SELECT count(*) FILTER (WHERE part = 'size') > 0 AS has_size,
       count(*) FILTER (WHERE part = 'flush') > 0 AS has_flush,
       count(*) FILTER (WHERE part = 'scan') > 0 AS has_scan,
       count(*) FILTER (WHERE part = 'poll') > 0 AS has_poll
FROM raw \gset

\if :has_size
\qecho
\qecho '## Size'
\qecho
\qecho '| rows | in | payload bytes/row | bytes/row | × plain | WAL bytes per payload byte |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| %s %s | %s | %s | %s | %s | %s |', to_char(rows, 'FM999G999G999'), set_name, target_name,
              number(payload), number(row_bytes), number(bytes_ratio), number(wal))
FROM named WHERE part = 'size'
ORDER BY set_place, target_place;
\endif

\if :has_flush
\qecho
\qecho '## flush()'
\qecho
\qecho '| of | rows | rows/s |'
\qecho '|---|---|---|'
SELECT format('| %s | %s | %s |', what_name, to_char(rows, 'FM999G999G999'), spread(speed))
FROM named WHERE part = 'flush'
ORDER BY what_place;
\endif

\if :has_scan
\qecho
\qecho '## Scan, one process'
\qecho
\qecho '| of | columns | in | rows/s | × plain | rows per processor second | × plain |'
\qecho '|---|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s | %s |', set_name, what_name, target_name, spread(speed), spread(ratio),
              number(median(work)), spread(work_ratio))
FROM named WHERE part = 'scan'
ORDER BY set_place, what_place, target_place;
\endif

\if :has_poll
\qecho
\qecho '## poll() over history'
\qecho
\qecho '| of | by | in | rows/s | × plain | rows per processor second | × plain |'
\qecho '|---|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s | %s |', set_name, what_name, target_name, spread(speed), spread(ratio),
              number(median(work)), spread(work_ratio))
FROM named WHERE part = 'poll'
ORDER BY set_place, what_place, target_place;
\endif

\qecho
\qecho '## Reach'
\qecho
CREATE VIEW reach AS
SELECT 1 AS place, set_place, target_place AS sub,
       format('size of %s in %s: ≤ %s × the plain table''s', set_name, target_name, l.most) AS reach,
       format('%s ×', number(bytes_ratio)) AS measured, bytes_ratio <= l.most AS met
FROM named JOIN (VALUES ('lz4', 0.4), ('zstd', 0.25)) l (target, most) USING (target)
WHERE part = 'size'
UNION ALL
SELECT 2, set_place, what_place,
       format('flush of %s: ≥ %s rows/s', what_name, to_char(l.least, 'FM999G999G999')),
       format('%s', spread(speed)), median(speed) >= l.least
FROM named JOIN (VALUES ('batch', 1000000), ('single', 300000)) l (what, least) USING (what)
WHERE part = 'flush'
UNION ALL
SELECT 3, set_place, what_place,
       format('scan of %s in %s, %s: ≥ %s × the plain table''s rows/s', set_name, target_name, what_name, l.least),
       format('%s ×, by processor time %s ×', spread(ratio), spread(work_ratio)), median(ratio) >= l.least
FROM named JOIN (VALUES ('key', 1.5), ('full', 1)) l (what, least) USING (what)
WHERE part = 'scan' AND target = 'lz4'
UNION ALL
SELECT 4, set_place, what_place,
       format('poll of %s in %s, %s: ≥ 1,000,000 rows/s', set_name, target_name, what_name),
       format('%s, by processor time %s', spread(speed), spread(work)), median(speed) >= 1000000
FROM named
WHERE part = 'poll' AND target = 'lz4';

SELECT reach_line(reach, measured, met) FROM reach ORDER BY place, set_place, sub;

SELECT others_line(array_agg(others)) FROM result;
