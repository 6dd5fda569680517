-- What bench/produce prints: tables in Markdown from the results of its runs.
CREATE TABLE result (
    part text, clients int, target text, round int, rows float8, seconds float8,
    p50 float8, p99 float8, bytes float8, wal float8, others float8
);
COPY result FROM :'results' (FORMAT csv);

-- A run beside the plain table's of the same round, or the mean of its two.
CREATE VIEW compared AS
SELECT r.*,
       r.rows / r.seconds AS rate,
       r.rows / r.seconds / p.rate AS ratio,
       r.bytes / r.rows AS row_bytes,
       r.bytes / r.rows / p.row_bytes AS bytes_ratio,
       r.wal / r.rows AS row_wal
FROM result r
     JOIN (SELECT part, clients, round, avg(rows / seconds) AS rate, avg(bytes / rows) AS row_bytes
           FROM result
           WHERE target LIKE 'plain%' AND part <> 'business'
           GROUP BY 1, 2, 3) p USING (part, clients, round);

CREATE VIEW summary AS
SELECT part, clients, target,
       array_agg(rate) AS rate, array_agg(ratio) AS ratio,
       array_agg(row_bytes) AS row_bytes, array_agg(bytes_ratio) AS bytes_ratio,
       array_agg(row_wal) AS row_wal,
       array_agg(p50) AS p50, array_agg(p99) AS p99
FROM compared
GROUP BY 1, 2, 3;

-- How far the two runs into the plain table are apart, of a round.
CREATE VIEW noise AS
SELECT clients, report.median(array_agg(abs(b.rate / a.rate - 1))) AS median,
       max(abs(b.rate / a.rate - 1)) AS largest
FROM compared a JOIN compared b USING (part, clients, round)
WHERE part = 'single' AND a.target = 'plain' AND b.target = 'plain-again'
GROUP BY 1;

CREATE TABLE part_name (part text, place int, name text);
INSERT INTO part_name VALUES
    ('select', 1, 'INSERT … SELECT'), ('copy', 2, 'COPY, binary'), ('batch', 3, 'batches of 1,000');

CREATE TABLE target_name (target text, place int, name text);
INSERT INTO target_name VALUES
    ('plain', 1, 'plain table'), ('plain-again', 2, 'plain table, again'),
    ('topic4', 3, 'topic, 4 partitions'), ('topic1', 4, 'topic, 1 partition'),
    ('topic4-produce', 5, 'topic, 4 partitions, produce()');

SELECT count(*) FILTER (WHERE part IN ('select', 'copy', 'batch')) > 0 AS has_bulk,
       count(*) FILTER (WHERE part = 'single') > 0 AS has_single,
       count(*) FILTER (WHERE part = 'business') > 0 AS has_business
FROM result \gset

\if :has_bulk
\qecho
\qecho '## Bulk, one connection'
\qecho
\qecho '| way | into | rows/s | × plain | bytes/row | × plain | WAL bytes/row |'
\qecho '|---|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s | %s |', p.name, t.name,
              spread(rate), spread(ratio), number(median(row_bytes)), number(median(bytes_ratio)),
              number(median(row_wal)))
FROM summary JOIN part_name p USING (part) JOIN target_name t USING (target)
ORDER BY p.place, t.place;
\endif

\if :has_single
\qecho
\qecho '## Single rows, a transaction each'
\qecho
\qecho '| clients | into | rows/s | × plain | p50 ms | p99 ms | bytes/row | × plain | WAL bytes/row |'
\qecho '|---|---|---|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s | %s | %s | %s |', clients, t.name,
              spread(rate), spread(ratio), number(median(p50)), number(median(p99)),
              number(median(row_bytes)), number(median(bytes_ratio)), number(median(row_wal)))
FROM summary JOIN target_name t USING (target)
WHERE part = 'single'
ORDER BY clients, t.place;
\endif

\if :has_business
\qecho
\qecho '## One statement more in a business transaction, 8 clients'
\qecho
\qecho '| statement | transactions/s | p50 ms | p99 ms | adds to p50, ms | adds to p99, ms |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s |', t.name,
              spread(array_agg(rows / seconds)), spread(array_agg(r.p50)), spread(array_agg(r.p99)),
              spread(array_agg(r.p50 - n.p50)), spread(array_agg(r.p99 - n.p99)))
FROM result r
     JOIN (VALUES ('none', 1, 'none'), ('none-again', 2, 'none, again'), ('topic4', 3, 'SELECT produce()'),
                  ('plain', 4, 'INSERT INTO plain table')) t (target, place, name) USING (target)
     JOIN (SELECT round, avg(p50) AS p50, avg(p99) AS p99
           FROM result WHERE part = 'business' AND target LIKE 'none%' GROUP BY 1) n USING (round)
WHERE part = 'business'
GROUP BY t.place, t.name
ORDER BY t.place;
\endif

\qecho
\qecho '## Reach'
\qecho
CREATE VIEW reach AS
SELECT 1 AS place, p.place AS sub, 0 AS clients, t.place AS target,
       format('%s into %s: ≥ 3 × the plain table''s rows/s', p.name, t.name) AS reach,
       format('%s ×', spread(ratio)) AS measured, median(ratio) >= 3 AS met
FROM summary JOIN part_name p USING (part) JOIN target_name t USING (target)
WHERE target LIKE 'topic%'
UNION ALL
SELECT 2, 0, clients, t.place,
       format('single rows, %s client%s, %s: no slower than the plain table beyond the noise', clients,
              CASE WHEN clients > 1 THEN 's' END, t.name),
       format('%s ×, noise %s %% (at most %s %%)', spread(ratio), number(100 * n.median), number(100 * n.largest)),
       median(ratio) >= 1 - n.median
FROM summary JOIN target_name t USING (target) JOIN noise n USING (clients)
WHERE part = 'single' AND target LIKE 'topic%'
UNION ALL
SELECT 3, 0, 0, t.place,
       format('size of batches of 1,000 in %s: ≤ 0.5 × the plain table''s', t.name),
       format('%s ×', spread(bytes_ratio)), median(bytes_ratio) <= 0.5
FROM summary JOIN target_name t USING (target)
WHERE part = 'batch' AND target LIKE 'topic%'
UNION ALL
SELECT 4, 0, 0, t.place,
       format('size of single rows of one client in %s: ≤ 1.25 × the plain table''s', t.name),
       format('%s ×', spread(bytes_ratio)), median(bytes_ratio) <= 1.25
FROM summary JOIN target_name t USING (target)
WHERE part = 'single' AND clients = 1 AND target IN ('topic4', 'topic1');

SELECT reach_line(reach, measured, met) FROM reach ORDER BY place, sub, clients, target;

SELECT others_line(array_agg(others)) FROM result;
