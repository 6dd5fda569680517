-- What the reports of the benchmarks share; goes before the one's own.
\set ON_ERROR_STOP on
CREATE SCHEMA report;
SET search_path = report;

CREATE FUNCTION report.number(n float8) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN abs(n) >= 100 THEN to_char(n, 'FM999G999G990')
                WHEN abs(n) >= 10 THEN to_char(n, 'FM990.0')
                WHEN abs(n) >= 1 THEN to_char(n, 'FM990.00')
                ELSE to_char(n, 'FM990.000') END
$$;

CREATE FUNCTION report.median(n float8[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FROM unnest(n) v
$$;

-- Median and range.
CREATE FUNCTION report.spread(n float8[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('%s (%s–%s)', report.number(report.median(n)), report.number(min(v)), report.number(max(v)))
    FROM unnest(n) v
$$;

CREATE FUNCTION report.reach_line(reach text, measured text, met boolean) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('- reach: %s; measured: %s (%s)', reach, measured, CASE WHEN met THEN 'met' ELSE 'NOT MET' END)
$$;

CREATE FUNCTION report.others_line(others float8[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format(E'\nBefore the runs, with nothing of ours at work, others took %s %% of the processors, in the median; at most %s %%.',
                  report.number(report.median(others)), report.number(max(o)))
    FROM unnest(others) o
$$;
