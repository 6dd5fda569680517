-- What bench/poll prints: tables in Markdown from the results of its runs.
CREATE TABLE raw (
    part text, target text, load text, consumers int, round int, others float8, name text, value float8
);
COPY raw FROM :'results' (FORMAT csv);

-- A line for each run; of decay, for each window.
CREATE VIEW result AS
SELECT part, target, load, consumers, round, others,
       max(value) FILTER (WHERE name = 'rows') AS rows,
       max(value) FILTER (WHERE name = 'twice') AS twice,
       max(value) FILTER (WHERE name = 'seconds') AS seconds,
       max(value) FILTER (WHERE name = 'p50') AS p50,
       max(value) FILTER (WHERE name = 'p99') AS p99,
       max(value) FILTER (WHERE name = 'empty') AS empty,
       max(value) FILTER (WHERE name = 'produced') AS produced,
       max(value) FILTER (WHERE name = 'consumed') AS consumed,
       max(value) FILTER (WHERE name = 'producer_cpu') AS producer_cpu,
       max(value) FILTER (WHERE name = 'consumer_cpu') AS consumer_cpu,
       max(value) FILTER (WHERE name = 'sent') AS sent,
       max(value) FILTER (WHERE name = 'received') AS received,
       max(value) FILTER (WHERE name = 'answer50') AS answer50,
       max(value) FILTER (WHERE name = 'answer99') AS answer99,
       max(value) FILTER (WHERE name = 'after50') AS after50,
       max(value) FILTER (WHERE name = 'after99') AS after99
FROM raw
GROUP BY part, target, load, consumers, round, others;

-- A run beside the plain table's of the same round.
CREATE VIEW compared AS
SELECT r.*, r.rows / r.seconds AS speed, r.rows / r.seconds / p.speed AS ratio
FROM result r
     LEFT JOIN (SELECT load, round, rows / seconds AS speed
                FROM result WHERE part = 'rate' AND target = 'plain') p USING (load, round)
WHERE part IN ('rate', 'group');

CREATE VIEW summary AS
SELECT part, target, load, consumers, array_agg(speed) AS speed, array_agg(ratio) AS ratio,
       array_agg(p50) AS p50, array_agg(p99) AS p99, array_agg(empty) AS empty,
       max(twice) AS twice, max(abs(rows - twice - :wanted)) AS missing
FROM compared
GROUP BY 1, 2, 3, 4;

CREATE VIEW decayed AS
SELECT place, way, array_agg(rate ORDER BY round) AS rates,
       (array_agg(rate ORDER BY round))[1] AS first,
       (array_agg(rate ORDER BY round DESC))[1] AS last
FROM result,
     LATERAL (VALUES (1, 'rows produced per second', produced / :decay_window),
                     (2, 'rows consumed per second', consumed / :decay_window),
                     (3, 'rows produced per processor second of the backend', produced / nullif(producer_cpu, 0)),
                     (4, 'rows consumed per processor second of the backend', consumed / nullif(consumer_cpu, 0))
     ) w (place, way, rate)
WHERE part = 'decay'
GROUP BY 1, 2;

CREATE VIEW late AS
SELECT target, array_agg(p50) AS p50, array_agg(p99) AS p99,
       array_agg(answer50) AS answer50, array_agg(answer99) AS answer99,
       array_agg(p50 - answer50) AS more50, array_agg(p99 - answer99) AS more99,
       array_agg(after50) AS after50, array_agg(after99) AS after99, sum(sent) AS sent, sum(received) AS received, sum(twice) AS twice
FROM result WHERE part = 'latency'
GROUP BY 1;

CREATE TABLE load_name (load text, place int, name text);
INSERT INTO load_name VALUES ('bulk', 1, 'one COPY'), ('batches', 2, 'batches of 1,000');

CREATE TABLE target_name (target text, place int, name text);
INSERT INTO target_name VALUES
    ('plain', 1, 'plain table, by position'), ('topic1', 2, 'topic, 1 partition'), ('topic16', 3, 'topic, 16 partitions'),
    ('poll', 4, 'topic, poll() with timeout'), ('wait', 5, 'topic, CALL wait(), then poll()'),
    ('notify', 6, 'plain table, LISTEN/NOTIFY'), ('pgq', 7, 'PgQ, a tick every 10 ms'),
    ('redis', 8, 'Redis Stream, appendfsync always');

SELECT count(*) FILTER (WHERE part = 'rate') > 0 AS has_rate,
       count(*) FILTER (WHERE part = 'group') > 0 AS has_group,
       count(*) FILTER (WHERE part = 'decay') > 0 AS has_decay,
       count(*) FILTER (WHERE part = 'latency') > 0 AS has_latency,
       to_char(:wanted, 'FM999G999G999') AS wanted_text
FROM raw \gset

\if :has_rate
\qecho
\qecho '## One consumer, a backlog of' :wanted_text 'rows, 1,000 a transaction'
\qecho
\qecho '| backlog written as | from | rows/s | × plain | p50 ms | p99 ms |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s |', l.name, t.name, spread(speed), spread(ratio),
              number(median(p50)), number(median(p99)))
FROM summary JOIN load_name l USING (load) JOIN target_name t USING (target)
WHERE part = 'rate'
ORDER BY l.place, t.place;
\endif

\if :has_group
\qecho
\qecho '## Consumers of one group, 16 partitions, a backlog of' :wanted_text 'rows'
\qecho
\qecho '| backlog written as | consumers | rows/s together | p50 ms | p99 ms | polls without a row | rows missing | rows twice |'
\qecho '|---|---|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s | %s | %s |', l.name, consumers, spread(speed),
              number(median(p50)), number(median(p99)), spread(empty), missing, twice)
FROM summary JOIN load_name l USING (load)
WHERE part = 'group'
ORDER BY l.place, consumers;
\endif

\if :has_decay
\qecho
\qecho '##' :decay_seconds 's of producing batches and polling, with an old snapshot held, in windows of' :decay_window 's'
\qecho
\qecho '| | first window | last window | last / first | all windows |'
\qecho '|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s |', way, number(first), number(last), number(last / first),
              (SELECT string_agg(number(r), ' ' ORDER BY i) FROM unnest(rates) WITH ORDINALITY u (r, i)))
FROM decayed ORDER BY place;
\endif

\if :has_latency
\qecho
\qecho '##' :rate 'rows/s by' :producers 'connections, single rows: ms from when a row was due to when its consumer had it'
\qecho
\qecho '| way | p50 | p99 | commit p50 | commit p99 | p50 less the commit''s | p99 less the commit''s | after its own commit, p50 | p99 | received of sent |'
\qecho '|---|---|---|---|---|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s of %s%s |', t.name, spread(p50), spread(p99),
              spread(answer50), spread(answer99), spread(more50), spread(more99), number(median(after50)), number(median(after99)),
              received, sent, CASE WHEN twice > 0 THEN format(', %s twice', twice) END)
FROM late JOIN target_name t USING (target)
ORDER BY t.place;
\endif

\qecho
\qecho '## Reach'
\qecho
CREATE TABLE reach (place int, sub int, subsub int, reach text, measured text, met boolean);
INSERT INTO reach
SELECT 1, l.place, t.place, format('%s, backlog of %s: ≥ 1 × the plain table''s rows/s', t.name, l.name),
       format('%s ×', spread(ratio)), median(ratio) >= 1
FROM summary JOIN load_name l USING (load) JOIN target_name t USING (target)
WHERE part = 'rate' AND target <> 'plain'
UNION ALL
SELECT 2, l.place, t.place, format('%s, backlog of %s: ≥ 1,000,000 rows/s', t.name, l.name),
       spread(speed), median(speed) >= 1000000
FROM summary JOIN load_name l USING (load) JOIN target_name t USING (target)
WHERE part = 'rate' AND target <> 'plain'
UNION ALL
SELECT 3, l.place, consumers, format('%s consumer%s, backlog of %s: every row exactly once', consumers,
                                     CASE WHEN consumers > 1 THEN 's' END, l.name),
       format('%s missing, %s twice, in the worst round', missing, twice), missing = 0 AND twice = 0
FROM summary JOIN load_name l USING (load)
WHERE part = 'group';
INSERT INTO reach
SELECT 4, place, 0, format('%s, with an old snapshot: in the last window ≥ 0.95 × the first''s', way),
       format('%s × after %s s', number(last / first), :decay_seconds), last >= 0.95 * first
FROM decayed WHERE place <= 2;
INSERT INTO reach
SELECT 5, t.place, 0, format('%s: p50 within 0.3 ms of the commit''s', t.name),
       format('%s ms', spread(more50)), median(more50) <= 0.3
FROM late JOIN target_name t USING (target) WHERE target IN ('poll', 'wait')
UNION ALL
SELECT 6, t.place, 0, format('%s: p99 within 2 ms of the commit''s', t.name),
       format('%s ms', spread(more99)), median(more99) <= 2
FROM late JOIN target_name t USING (target) WHERE target IN ('poll', 'wait')
UNION ALL
SELECT 7, t.place, 0, format('%s: every row exactly once', t.name),
       format('%s of %s, %s twice', received, sent, twice), received = sent AND twice = 0
FROM late JOIN target_name t USING (target) WHERE target IN ('poll', 'wait');

SELECT reach_line(reach, measured, met) FROM reach ORDER BY place, sub, subsub;

SELECT others_line(array_agg(DISTINCT others)) FROM raw;
