-- What bench/s3 prints: tables in Markdown from the results of its runs.
CREATE TABLE raw (step text, target text, round int, others float8, name text, value float8);
COPY raw FROM :'results' (FORMAT csv);
CREATE TABLE seen (step text, target text, round int, answer jsonb);
COPY seen FROM :'seen';
CREATE TABLE timeline (step text, target text, round int, answer jsonb);
COPY timeline FROM :'timeline';
CREATE TABLE latency (phase text, us float8);
COPY latency FROM :'latencies';

CREATE VIEW result AS
SELECT step, target, round, others,
       max(value) FILTER (WHERE name = 'seconds') AS seconds,
       max(value) FILTER (WHERE name = 'bytes') AS bytes
FROM raw WHERE step IN ('flush', 'scan')
GROUP BY 1, 2, 3, 4;

-- A run beside the one without delay, through the proxy, of the same round.
CREATE VIEW compared AS
SELECT r.*, z.seconds / r.seconds AS ratio
FROM result r
     LEFT JOIN result z ON z.step = r.step AND z.round = r.round AND z.target = '0';

-- Requests as they are billed: those that read an object, those that cost
-- nothing, and the others.
CREATE VIEW requests AS
SELECT step, target, round,
       sum(n::int) FILTER (WHERE kind IN ('get', 'head')) AS cheap,
       sum(n::int) FILTER (WHERE kind NOT IN ('get', 'head', 'delete', 'multi_delete', 'abort_upload')) AS dear,
       string_agg(format('%s %s', n, kind), ', ' ORDER BY n::int DESC, kind) AS kinds
FROM seen, jsonb_each_text(answer -> 'kinds') k (kind, n)
GROUP BY 1, 2, 3;

-- How many requests and bytes were in flight, and from when to when, in ms.
CREATE VIEW span AS
SELECT step, target, round, (e ->> 1)::float8 AS requests, (e ->> 2)::float8 AS bytes, (e ->> 0)::float8 AS begins,
       lead((e ->> 0)::float8) OVER (PARTITION BY step, target, round ORDER BY i) AS ends
FROM timeline, jsonb_array_elements(answer -> 'timeline') WITH ORDINALITY t (e, i);

-- The mean of ten parts of the time from the first request to the last answer.
CREATE VIEW part AS
WITH whole AS (SELECT step, target, round, min(begins) AS first, max(ends) AS last FROM span GROUP BY 1, 2, 3)
SELECT s.step, s.target, s.round, p,
       sum(requests * greatest(0, least(ends, hi) - greatest(begins, lo))) / nullif(max(hi - lo), 0) AS requests,
       sum(bytes * greatest(0, least(ends, hi) - greatest(begins, lo))) / nullif(max(hi - lo), 0) AS bytes
FROM span s
     JOIN whole w USING (step, target, round),
     generate_series(1, 10) p,
     LATERAL (SELECT first + (last - first) * (p - 1) / 10 AS lo, first + (last - first) * p / 10 AS hi) x
GROUP BY 1, 2, 3, 4;

CREATE VIEW flight AS
SELECT step, target, round, avg(requests) AS mean, avg(bytes) AS mean_bytes,
       string_agg(round(requests)::text, ' ' ORDER BY p) AS course
FROM part GROUP BY 1, 2, 3;

CREATE VIEW line AS
SELECT c.step, c.target, array_agg(:rows / seconds) AS speed, array_agg(bytes / seconds / 1024 / 1024) AS mib,
       array_agg(ratio) AS ratio, max(bytes) AS bytes, min(kinds) AS kinds, max(cheap) AS cheap, max(dear) AS dear,
       array_agg(mean) FILTER (WHERE mean IS NOT NULL) AS mean, max((answer ->> 'most_in_flight')::int) AS most,
       array_agg(mean_bytes / 1024 / 1024) FILTER (WHERE mean IS NOT NULL) AS mean_bytes,
       max((answer ->> 'most_bytes_in_flight')::float8) / 1024 / 1024 AS most_bytes, min(course) AS course
FROM compared c
     LEFT JOIN seen USING (step, target, round)
     LEFT JOIN requests USING (step, target, round)
     LEFT JOIN flight USING (step, target, round)
GROUP BY 1, 2;

SELECT count(*) FILTER (WHERE step = 'flush') > 0 AS has_move,
       count(*) FILTER (WHERE step = 'outage') > 0 AS has_outage,
       to_char(:rows, 'FM999G999G999') AS rows_text
FROM raw \gset

\if :has_move
\echo
\echo :rows_text 'rows of 4 partitions, 116 bytes each; MiB are those of the objects.'
SELECT CASE step WHEN 'flush' THEN E'\n### From the tail to the bucket: flush()\n' ELSE E'\n### From the bucket: SELECT count(*), sum(length(value))\n' END
       || E'\n| | rows/s | MiB/s | × 0 ms | requests | in flight: mean, most | MiB in flight: mean, most | requests in flight, by tenths of the time |\n|---|---|---|---|---|---|---|---|\n'
       || string_agg(format('| %s | %s | %s | %s | %s | %s | %s | %s |',
              CASE target WHEN 'direct' THEN 'no proxy' ELSE target || ' ms added' END,
              report.spread(speed), report.spread(mib), coalesce(report.spread(ratio), ''), coalesce(kinds, ''),
              coalesce(report.number(report.median(mean)) || ', ' || most, ''),
              coalesce(report.number(report.median(mean_bytes)) || ', ' || report.number(most_bytes), ''), coalesce(course, '')),
          E'\n' ORDER BY CASE target WHEN 'direct' THEN -1 ELSE target::int END)
FROM line GROUP BY step ORDER BY step;

\echo
SELECT report.reach_line(format('%s at 50 ms at least 0.6 × of that at 0 ms', step), report.number(report.median(ratio)) || ' ×', report.median(ratio) >= 0.6)
FROM line WHERE target = '50' ORDER BY step;

\echo
\echo 'Billed, without delay, at 0.005 dollars for 1,000 PUT, POST and LIST, and 0.0004 for 1,000 GET and HEAD:'
\echo
SELECT format(E'- %s: %s and %s requests per million rows; %s dollars per GiB',
              step, report.number(coalesce(dear, 0) * 1e6 / :rows), report.number(coalesce(cheap, 0) * 1e6 / :rows),
              to_char((coalesce(dear, 0) * 0.005 + coalesce(cheap, 0) * 0.0004) / 1000 / (bytes / 1024 ^ 3), 'FM990.000000'))
FROM line WHERE target = '0' ORDER BY step;
\endif

\if :has_outage
\echo
\echo '### A store that is away'
\echo
\echo 'Eight clients, a row of 500 bytes a transaction; the store refuses connections for' :phase 's.'
\echo
\echo '| | transactions/s | p50 ms | p99 ms |'
\echo '|---|---|---|---|'
SELECT format('| %s | %s | %s | %s |', phase, report.number(count(*)::float8 / :phase),
              report.number(percentile_cont(0.5) WITHIN GROUP (ORDER BY us) / 1000),
              report.number(percentile_cont(0.99) WITHIN GROUP (ORDER BY us) / 1000))
FROM latency GROUP BY phase ORDER BY array_position(ARRAY['before', 'during', 'after'], phase);
SELECT format(E'\n%s rows were waiting when the store came back. At the end of the last phase flush() took %s s; all rows are there, each once.',
              report.number(max(value) FILTER (WHERE name = 'waiting')), report.number(max(value) FILTER (WHERE name = 'drained')))
FROM raw WHERE step = 'outage';
\endif

SELECT report.others_line(array_agg(DISTINCT others)) FROM raw;
