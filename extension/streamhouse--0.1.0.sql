/* extension/streamhouse--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION streamhouse" to load this file. \quit

-- Made here, so that it belongs to the extension and is nobody else's.
CREATE SCHEMA streamhouse;
GRANT USAGE ON SCHEMA streamhouse TO PUBLIC;
COMMENT ON SCHEMA streamhouse IS 'streaming topics as tables';

--
-- Internal tables.  Their rows are written by the extension's C code only;
-- src/catalog and src/log know the columns by their order.
--

CREATE SEQUENCE streamhouse.topic_id_seq AS int4;
CREATE SEQUENCE streamhouse.log_id_seq AS int4;
CREATE SEQUENCE streamhouse.stage_id_seq AS int4 CYCLE;

CREATE TABLE streamhouse.topic (
    topic_id    int4    NOT NULL,
    relid       oid     NOT NULL,
    key_attnum  int2    NOT NULL,
    key_name    name    NOT NULL,
    columns     bytea   NOT NULL,
    CONSTRAINT topic_pkey PRIMARY KEY (topic_id)
);
CREATE UNIQUE INDEX topic_relid_idx ON streamhouse.topic (relid);
COMMENT ON TABLE streamhouse.topic IS 'internal: one row per topic, a foreign table of the wrapper streamhouse';
COMMENT ON COLUMN streamhouse.topic.topic_id IS 'number of the topic, never used again in this database';
COMMENT ON COLUMN streamhouse.topic.relid IS 'OID of the foreign table';
COMMENT ON COLUMN streamhouse.topic.key_attnum IS 'attribute number of the key column, 0 if there is none';
COMMENT ON COLUMN streamhouse.topic.key_name IS 'the key column''s name when it was last checked, which tells a renamed column from a mistyped option';
COMMENT ON COLUMN streamhouse.topic.columns IS 'the columns when they were last checked: number, type, modifier, NOT NULL';

CREATE TABLE streamhouse.log (
    log_id        int4  NOT NULL,
    topic_id      int4  NOT NULL,
    partition     int4  NOT NULL,
    start_offset  int8  NOT NULL,
    CONSTRAINT log_pkey PRIMARY KEY (log_id)
);
CREATE UNIQUE INDEX log_topic_idx ON streamhouse.log (topic_id, partition);
COMMENT ON TABLE streamhouse.log IS 'internal: one row per partition of a topic';
COMMENT ON COLUMN streamhouse.log.log_id IS 'number of the log, never used again in this database';
COMMENT ON COLUMN streamhouse.log.topic_id IS 'the topic';
COMMENT ON COLUMN streamhouse.log.partition IS 'number of the partition within the topic, from 0';
COMMENT ON COLUMN streamhouse.log.start_offset IS 'the first offset that the log still has';

-- Inserted at the head, deleted at the end, never updated.  A row fills a
-- page or less and is read whole, so nothing is toasted; the index leaves no
-- room because new entries come at the right.  Of a page a few hundred bytes
-- stay free, because full frames leave as much and more: else small ones would
-- go there, each to another old page, which WAL would have to hold as a whole.
CREATE TABLE streamhouse.tail (
    log_id      int4   NOT NULL,
    stage       int4   NOT NULL,
    end_offset  int8   NOT NULL,
    count       int4   NOT NULL
) WITH (vacuum_truncate = off, fillfactor = 98);
-- in one statement, so that no toast table is made
ALTER TABLE streamhouse.tail ADD COLUMN frame bytea NOT NULL,
    ALTER COLUMN frame SET STORAGE PLAIN;
CREATE INDEX tail_idx ON streamhouse.tail (log_id, stage, end_offset)
    WITH (fillfactor = 100, deduplicate_items = off);
COMMENT ON TABLE streamhouse.tail IS 'internal: the rows of topics, in frames of many rows';
COMMENT ON COLUMN streamhouse.tail.log_id IS 'the log';
COMMENT ON COLUMN streamhouse.tail.stage IS '0: the log, by offset; else rows of one large transaction, by their number in it';
COMMENT ON COLUMN streamhouse.tail.end_offset IS 'offset after the frame''s last row; under a stage the number of that row';
COMMENT ON COLUMN streamhouse.tail.count IS 'rows in the frame; 0 for the second and later parts of a row that fits no page, and for frames without rows';
COMMENT ON COLUMN streamhouse.tail.frame IS 'the frame, see docs/format.md';

CREATE SEQUENCE streamhouse.object_id_seq AS int8;

-- What segments are in.  Rows of objects in the database come and go with the
-- segments; of objects in buckets they are there as long as these may be.
CREATE TABLE streamhouse.object (
    object_id   int8         NOT NULL,
    size        int8         NOT NULL,
    written_at  timestamptz  NOT NULL,
    changed_at  timestamptz  NOT NULL,
    server      oid          NOT NULL,
    state       "char"       NOT NULL,
    key         text,
    CONSTRAINT object_pkey PRIMARY KEY (object_id)
);
COMMENT ON TABLE streamhouse.object IS 'internal: one row per object, which holds segments of one log or more';
COMMENT ON COLUMN streamhouse.object.object_id IS 'number of the object, never used again in this database';
COMMENT ON COLUMN streamhouse.object.size IS 'bytes, footer included';
COMMENT ON COLUMN streamhouse.object.written_at IS 'when it was written';
COMMENT ON COLUMN streamhouse.object.server IS 'foreign server that keeps it';
COMMENT ON COLUMN streamhouse.object.changed_at IS 'since when it has been in its state';
COMMENT ON COLUMN streamhouse.object.state IS 'u: on its way to its bucket; l: live; o: its upload was given up; g: no segment is in it any more';
COMMENT ON COLUMN streamhouse.object.key IS 'its key in the bucket; NULL: it is in streamhouse.object_data';

-- A row fills a page, and is compressed already if it can be.
CREATE TABLE streamhouse.object_data (
    object_id  int8  NOT NULL,
    chunk_no   int4  NOT NULL
) WITH (vacuum_truncate = off);
ALTER TABLE streamhouse.object_data ADD COLUMN data bytea NOT NULL,
    ALTER COLUMN data SET STORAGE PLAIN,
    ADD CONSTRAINT object_data_pkey PRIMARY KEY (object_id, chunk_no) WITH (fillfactor = 100);
COMMENT ON TABLE streamhouse.object_data IS 'internal: the bytes of objects that are kept in this database, a page each';
COMMENT ON COLUMN streamhouse.object_data.object_id IS 'the object';
COMMENT ON COLUMN streamhouse.object_data.chunk_no IS 'which of its pages, from 0';
COMMENT ON COLUMN streamhouse.object_data.data IS 'bytes of the object, see docs/segment-format.md';

CREATE TABLE streamhouse.segment (
    log_id        int4         NOT NULL,
    generation    int4         NOT NULL,
    base_offset   int8         NOT NULL,
    end_offset    int8         NOT NULL,
    record_count  int8         NOT NULL,
    min_time      timestamptz  NOT NULL,
    max_time      timestamptz  NOT NULL,
    object_id     int8         NOT NULL,
    position      int8         NOT NULL,
    length        int8         NOT NULL,
    block_index   bytea        NOT NULL,
    CONSTRAINT segment_pkey PRIMARY KEY (log_id, end_offset) WITH (fillfactor = 100)
);
ALTER TABLE streamhouse.segment ALTER COLUMN block_index SET STORAGE EXTERNAL;
CREATE INDEX segment_object_idx ON streamhouse.segment (object_id);
COMMENT ON TABLE streamhouse.segment IS 'internal: one row per segment, rows of one log that have left the tail';
COMMENT ON COLUMN streamhouse.segment.log_id IS 'the log';
COMMENT ON COLUMN streamhouse.segment.generation IS '0: written from the tail';
COMMENT ON COLUMN streamhouse.segment.base_offset IS 'the first offset of its range, where the segment before ends';
COMMENT ON COLUMN streamhouse.segment.end_offset IS 'the offset after the last one of its range';
COMMENT ON COLUMN streamhouse.segment.record_count IS 'rows; the other offsets of the range are void';
COMMENT ON COLUMN streamhouse.segment.min_time IS 'least _timestamp of its rows; infinity if it has none';
COMMENT ON COLUMN streamhouse.segment.max_time IS 'greatest _timestamp of its rows; -infinity if it has none';
COMMENT ON COLUMN streamhouse.segment.object_id IS 'the object that has its blocks';
COMMENT ON COLUMN streamhouse.segment.position IS 'where its blocks begin in the object, in bytes';
COMMENT ON COLUMN streamhouse.segment.length IS 'bytes of its blocks';
COMMENT ON COLUMN streamhouse.segment.block_index IS 'what the object''s footer says of its blocks, 48 bytes each, see docs/segment-format.md';

CREATE SEQUENCE streamhouse.group_id_seq AS int4;

CREATE TABLE streamhouse.consumer_group (
    group_id  int4  NOT NULL,
    topic_id  int4  NOT NULL,
    owner     oid   NOT NULL,
    name      text  NOT NULL,
    CONSTRAINT consumer_group_pkey PRIMARY KEY (group_id)
);
CREATE UNIQUE INDEX consumer_group_name_idx ON streamhouse.consumer_group (topic_id, name);
COMMENT ON TABLE streamhouse.consumer_group IS 'internal: one row per consumer group of a topic';
COMMENT ON COLUMN streamhouse.consumer_group.group_id IS 'number of the group, never used again in this database';
COMMENT ON COLUMN streamhouse.consumer_group.topic_id IS 'the topic that the group consumes';
COMMENT ON COLUMN streamhouse.consumer_group.owner IS 'role whose members may use the group';
COMMENT ON COLUMN streamhouse.consumer_group.name IS 'name of the group, unique within the topic';

-- The newest row of a group and log counts: a poll inserts the next and
-- deletes the one before, and readers come from the right end of the index.
CREATE TABLE streamhouse.position (
    group_id     int4  NOT NULL,
    log_id       int4  NOT NULL,
    seq          int8  NOT NULL,
    next_offset  int8  NOT NULL
) WITH (vacuum_truncate = off, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE UNIQUE INDEX position_idx ON streamhouse.position (group_id, log_id, seq)
    WITH (fillfactor = 70);
COMMENT ON TABLE streamhouse.position IS 'internal: how far consumer groups have come';
COMMENT ON COLUMN streamhouse.position.group_id IS 'the group';
COMMENT ON COLUMN streamhouse.position.log_id IS 'the log';
COMMENT ON COLUMN streamhouse.position.seq IS 'rises with every poll; the greatest counts';
COMMENT ON COLUMN streamhouse.position.next_offset IS 'the offset that the group reads next';

-- What a logical subscription to FOR ALL TABLES or a careless hand does to
-- these tables would be about rows that are not ours: it does nothing.
CREATE FUNCTION streamhouse.ignore_write() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sth_ignore_write';
COMMENT ON FUNCTION streamhouse.ignore_write() IS 'internal: keeps rows as the extension wrote them';

CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.topic FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.topic ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.log FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.log ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.tail FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.tail ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.object FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.object ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.object_data FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.object_data ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.segment FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.segment ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.consumer_group FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.consumer_group ENABLE ALWAYS TRIGGER ignore_write;
CREATE TRIGGER ignore_write BEFORE INSERT OR UPDATE OR DELETE ON streamhouse.position FOR EACH ROW EXECUTE FUNCTION streamhouse.ignore_write();
ALTER TABLE streamhouse.position ENABLE ALWAYS TRIGGER ignore_write;

--
-- The foreign-data wrapper and its built-in server
--

CREATE FUNCTION streamhouse.fdw_handler() RETURNS fdw_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'sth_fdw_handler';
COMMENT ON FUNCTION streamhouse.fdw_handler() IS 'internal: foreign-data wrapper handler';

CREATE FUNCTION streamhouse.fdw_validator(text[], oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'sth_fdw_validator';
COMMENT ON FUNCTION streamhouse.fdw_validator(text[], oid) IS 'internal: foreign-data wrapper option check';

CREATE FOREIGN DATA WRAPPER streamhouse
    HANDLER streamhouse.fdw_handler VALIDATOR streamhouse.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER streamhouse IS 'streaming topics as tables';

CREATE SERVER streamhouse FOREIGN DATA WRAPPER streamhouse;
COMMENT ON SERVER streamhouse IS 'topics that are kept in this database';

--
-- Topics
--

CREATE FUNCTION streamhouse.create_topic(
    name text,
    partitions int DEFAULT 1,
    columns text DEFAULT 'key text, value jsonb, headers jsonb',
    key text DEFAULT 'key',
    server name DEFAULT 'streamhouse',
    options jsonb DEFAULT '{}')
RETURNS regclass
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_create_topic';
COMMENT ON FUNCTION streamhouse.create_topic(text, int, text, text, name, jsonb) IS
    'creates a topic: CREATE FOREIGN TABLE name (_partition int, _offset bigint, _timestamp timestamptz, columns) SERVER server OPTIONS (partitions, key, options); key NULL: rows are not routed by a key';

--
-- Produce
--

CREATE FUNCTION streamhouse.produce(topic regclass, value text, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, event_time timestamptz DEFAULT NULL)
RETURNS int
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_produce';
COMMENT ON FUNCTION streamhouse.produce(regclass, text, text, jsonb, int, timestamptz) IS
    'adds one row to a topic when the transaction commits; returns its partition';

CREATE FUNCTION streamhouse.produce(topic regclass, value json, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, event_time timestamptz DEFAULT NULL)
RETURNS int
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_produce';
COMMENT ON FUNCTION streamhouse.produce(regclass, json, text, jsonb, int, timestamptz) IS
    'adds one row to a topic when the transaction commits; returns its partition';

CREATE FUNCTION streamhouse.produce(topic regclass, value jsonb, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, event_time timestamptz DEFAULT NULL)
RETURNS int
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_produce';
COMMENT ON FUNCTION streamhouse.produce(regclass, jsonb, text, jsonb, int, timestamptz) IS
    'adds one row to a topic when the transaction commits; returns its partition';

CREATE FUNCTION streamhouse.produce_bytes(topic regclass, value bytea, key bytea DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, event_time timestamptz DEFAULT NULL)
RETURNS int
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_produce';
COMMENT ON FUNCTION streamhouse.produce_bytes(regclass, bytea, bytea, jsonb, int, timestamptz) IS
    'adds one row of bytes to a topic when the transaction commits; returns its partition';

CREATE FUNCTION streamhouse.produce_batch(topic regclass, payloads text[], keys text[] DEFAULT NULL, partition int DEFAULT NULL)
RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_produce_batch';
COMMENT ON FUNCTION streamhouse.produce_batch(regclass, text[], text[], int) IS
    'adds a row per payload to a topic when the transaction commits; returns their number';

CREATE FUNCTION streamhouse.produce_batch_bytes(topic regclass, payloads bytea[], keys bytea[] DEFAULT NULL, partition int DEFAULT NULL)
RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_produce_batch';
COMMENT ON FUNCTION streamhouse.produce_batch_bytes(regclass, bytea[], bytea[], int) IS
    'adds a row of bytes per payload to a topic when the transaction commits; returns their number';

CREATE FUNCTION streamhouse.last_produced(OUT topic regclass, OUT partition int, OUT first_offset bigint, OUT last_offset bigint)
RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 4 AS 'MODULE_PATHNAME', 'sth_last_produced';
COMMENT ON FUNCTION streamhouse.last_produced() IS
    'offsets, first and last, that the session''s last committed transaction that produced was given, per topic and partition';

CREATE FUNCTION streamhouse.partition_for(topic regclass, key text)
RETURNS int
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sth_partition_for';
COMMENT ON FUNCTION streamhouse.partition_for(regclass, text) IS
    'the partition that a row with this key goes to: Kafka''s murmur2 of the key, modulo the number of partitions';

--
-- Read
--

CREATE FUNCTION streamhouse.read(topic anyelement, partition int, from_offset bigint, max_records int DEFAULT 500, max_bytes int DEFAULT 16777216)
RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 500 AS 'MODULE_PATHNAME', 'sth_read';
COMMENT ON FUNCTION streamhouse.read(anyelement, int, bigint, int, int) IS
    'rows of one partition from an offset on, in order, up to the first offset that may still be filled; topic is given as NULL::topic; max_bytes counts the bytes of values, and at least one row is returned if there is one';

CREATE FUNCTION streamhouse.verify(topic regclass DEFAULT NULL, deep boolean DEFAULT true, OUT topic regclass, OUT partition int, OUT "at" bigint, OUT problem text)
RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sth_verify';
COMMENT ON FUNCTION streamhouse.verify(regclass, boolean) IS
    'what is damaged of a topic, or of all topics that the user may read: gaps, overlaps, missing objects and, if deep, rows that cannot be read; for who may read the internal tables also objects that belong to no topic; nothing if all is well';

--
-- Consume
--

CREATE FUNCTION streamhouse.create_group(consumer_group text, topic regclass, start text DEFAULT 'earliest')
RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_create_group';
COMMENT ON FUNCTION streamhouse.create_group(text, regclass, text) IS
    'creates a consumer group of a topic, owned by the caller; start: earliest (from the first row that there is) or latest (only rows committed from now on)';

CREATE FUNCTION streamhouse.drop_group(consumer_group text, topic regclass)
RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_drop_group';
COMMENT ON FUNCTION streamhouse.drop_group(text, regclass) IS
    'drops a consumer group and its positions; waits for transactions that have polled with it';

CREATE FUNCTION streamhouse.poll(consumer_group text, topic anyelement, max_records int DEFAULT 500, max_bytes int DEFAULT 16777216, timeout interval DEFAULT '0', partitions int[] DEFAULT NULL)
RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 500 AS 'MODULE_PATHNAME', 'sth_poll';
COMMENT ON FUNCTION streamhouse.poll(text, anyelement, int, int, interval, int[]) IS
    'the next rows of a topic, given as NULL::topic, for a consumer group, in order within each partition; COMMIT moves the group on, ROLLBACK does not; other consumers of the group get other partitions meanwhile; timeout: how long to wait for a row if there is none';

CREATE PROCEDURE streamhouse.wait(consumer_group text, topic regclass, timeout interval)
    LANGUAGE c AS 'MODULE_PATHNAME', 'sth_wait';
COMMENT ON PROCEDURE streamhouse.wait(text, regclass, interval) IS
    'waits until there is a row for a consumer group, or the timeout is over; holds no snapshot meanwhile; not within a transaction block';

--
-- Segments
--

CREATE FUNCTION streamhouse.flush(topic regclass DEFAULT NULL)
RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_flush';
COMMENT ON FUNCTION streamhouse.flush(regclass) IS
    'returns once all rows that were committed before the call are in segments: of a topic, or of all topics that the user owns';

CREATE FUNCTION streamhouse.delete_records(topic regclass, partition int, before_offset bigint)
RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_delete_records';
COMMENT ON FUNCTION streamhouse.delete_records(regclass, int, bigint) IS
    'deletes the rows of a partition below an offset, for who may TRUNCATE the topic; returns where the partition begins now';

--
-- Views
--

CREATE FUNCTION streamhouse.unflushed(log_id int)
RETURNS timestamptz
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_unflushed';
COMMENT ON FUNCTION streamhouse.unflushed(int) IS
    'internal: since when rows of a log wait for their segment, for the view logs';

CREATE FUNCTION streamhouse.tail_bytes(log_id int)
RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_tail_bytes';
COMMENT ON FUNCTION streamhouse.tail_bytes(int) IS
    'internal: what the rows of a log take that wait for their segment, for the view logs';

CREATE FUNCTION streamhouse.next_offset(log_id int)
RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_next_offset';
COMMENT ON FUNCTION streamhouse.next_offset(int) IS
    'internal: the next offset that a log will give, for the view logs';

CREATE FUNCTION streamhouse.stable_offset(log_id int)
RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_stable_offset';
COMMENT ON FUNCTION streamhouse.stable_offset(int) IS
    'internal: where ordered readers of a log stop, for the view logs';

CREATE VIEW streamhouse.topics WITH (security_barrier) AS
SELECT n.nspname AS schema,
       c.relname AS name,
       c.oid::regclass AS topic,
       t.topic_id,
       (SELECT pg_catalog.count(*) FROM streamhouse.log l WHERE l.topic_id OPERATOR(pg_catalog.=) t.topic_id)::int AS partitions,
       a.attname AS key,
       s.srvname AS server,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner
FROM streamhouse.topic t
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
     JOIN pg_catalog.pg_foreign_server s ON s.oid OPERATOR(pg_catalog.=) f.ftserver
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) t.key_attnum
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
   OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT');
COMMENT ON VIEW streamhouse.topics IS 'the topics that the user owns, may read or may produce to';
COMMENT ON COLUMN streamhouse.topics.schema IS 'schema of the topic';
COMMENT ON COLUMN streamhouse.topics.name IS 'name of the topic';
COMMENT ON COLUMN streamhouse.topics.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.topics.topic_id IS 'number of the topic, never used again in this database';
COMMENT ON COLUMN streamhouse.topics.partitions IS 'number of partitions';
COMMENT ON COLUMN streamhouse.topics.key IS 'column that routes a row; NULL: rows are not routed by a key';
COMMENT ON COLUMN streamhouse.topics.server IS 'foreign server that keeps the topic''s history';
COMMENT ON COLUMN streamhouse.topics.owner IS 'owner of the topic';

CREATE VIEW streamhouse.logs WITH (security_barrier) AS
SELECT t.relid::pg_catalog.regclass AS topic,
       l.partition,
       l.log_id,
       l.start_offset,
       streamhouse.stable_offset(l.log_id) AS stable_offset,
       streamhouse.next_offset(l.log_id) AS next_offset,
       s.segments,
       s.segment_bytes,
       streamhouse.unflushed(l.log_id) AS oldest_unflushed,
       streamhouse.tail_bytes(l.log_id) AS tail_bytes
FROM streamhouse.topic t
     JOIN streamhouse.log l ON l.topic_id OPERATOR(pg_catalog.=) t.topic_id
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
     JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
     CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS segments,
                                coalesce(pg_catalog.sum(s.length), 0)::bigint AS segment_bytes
                         FROM streamhouse.segment s
                         WHERE s.log_id OPERATOR(pg_catalog.=) l.log_id) s
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
   OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT');
COMMENT ON VIEW streamhouse.logs IS 'the partitions of the topics that the user owns, may read or may produce to';
COMMENT ON COLUMN streamhouse.logs.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.logs.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamhouse.logs.log_id IS 'number of the log, never used again in this database';
COMMENT ON COLUMN streamhouse.logs.start_offset IS 'the first offset that the log still has';
COMMENT ON COLUMN streamhouse.logs.stable_offset IS 'where poll() and read() stop now: the first offset that may still be filled';
COMMENT ON COLUMN streamhouse.logs.next_offset IS 'the offset that the next row will get; on a standby and before the first row since the server started: the offset after the last committed row';

COMMENT ON COLUMN streamhouse.logs.segments IS 'number of its segments';
COMMENT ON COLUMN streamhouse.logs.segment_bytes IS 'bytes of its segments, compressed';
COMMENT ON COLUMN streamhouse.logs.oldest_unflushed IS 'since when rows wait in the tail for their segment, as far as the server knows; NULL: none do';
COMMENT ON COLUMN streamhouse.logs.tail_bytes IS 'bytes that these rows take in the tail and its index, which max_tail_size limits; NULL: not known, nobody has produced to the partition since the server started, and the worker has not looked at it';

CREATE VIEW streamhouse.segments WITH (security_barrier) AS
SELECT t.relid::pg_catalog.regclass AS topic,
       l.partition,
       s.base_offset,
       s.end_offset,
       s.record_count AS records,
       CASE WHEN s.record_count OPERATOR(pg_catalog.>) 0 THEN s.min_time END AS min_timestamp,
       CASE WHEN s.record_count OPERATOR(pg_catalog.>) 0 THEN s.max_time END AS max_timestamp,
       s.object_id,
       s.position AS byte_position,
       s.length AS byte_length,
       pg_catalog.octet_length(s.block_index) OPERATOR(pg_catalog./) 48 AS blocks
FROM streamhouse.segment s
     JOIN streamhouse.log l ON l.log_id OPERATOR(pg_catalog.=) s.log_id
     JOIN streamhouse.topic t ON t.topic_id OPERATOR(pg_catalog.=) l.topic_id
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
     JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
   OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT');
COMMENT ON VIEW streamhouse.segments IS 'the segments of the topics that the user owns, may read or may produce to';
COMMENT ON COLUMN streamhouse.segments.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.segments.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamhouse.segments.base_offset IS 'the first offset of the segment''s range';
COMMENT ON COLUMN streamhouse.segments.end_offset IS 'the offset after the last one';
COMMENT ON COLUMN streamhouse.segments.records IS 'rows; offsets of the range without a row are of transactions that failed';
COMMENT ON COLUMN streamhouse.segments.min_timestamp IS 'least _timestamp of its rows';
COMMENT ON COLUMN streamhouse.segments.max_timestamp IS 'greatest _timestamp of its rows';
COMMENT ON COLUMN streamhouse.segments.object_id IS 'the object that it is in';
COMMENT ON COLUMN streamhouse.segments.byte_position IS 'where in the object it begins';
COMMENT ON COLUMN streamhouse.segments.byte_length IS 'bytes that it takes there';
COMMENT ON COLUMN streamhouse.segments.blocks IS 'number of its blocks';

CREATE VIEW streamhouse.objects WITH (security_barrier) AS
SELECT o.object_id, v.srvname AS server, o.key, o.size,
       CASE o.state WHEN 'u' THEN 'uploading' WHEN 'l' THEN 'live' WHEN 'o' THEN 'orphan' WHEN 'g' THEN 'garbage' END AS state,
       o.written_at, o.changed_at
FROM streamhouse.object o
     LEFT JOIN pg_catalog.pg_foreign_server v ON v.oid OPERATOR(pg_catalog.=) o.server
WHERE EXISTS (SELECT FROM streamhouse.segments s WHERE s.object_id OPERATOR(pg_catalog.=) o.object_id)
      OR pg_catalog.pg_has_role(v.srvowner, 'USAGE');
COMMENT ON VIEW streamhouse.objects IS 'the objects of servers that the user owns, and those that segments of the topics are in that the user owns, may read or may produce to';
COMMENT ON COLUMN streamhouse.objects.object_id IS 'number of the object, never used again in this database';
COMMENT ON COLUMN streamhouse.objects.server IS 'foreign server that keeps it';
COMMENT ON COLUMN streamhouse.objects.size IS 'bytes, footer included';
COMMENT ON COLUMN streamhouse.objects.key IS 'its key in the bucket of the server; NULL: it is in this database';
COMMENT ON COLUMN streamhouse.objects.state IS 'uploading: on its way to its bucket; live: segments are in it; orphan: its upload was given up; garbage: no segment is in it any more. The last two are deleted in their time';
COMMENT ON COLUMN streamhouse.objects.written_at IS 'when it was written';
COMMENT ON COLUMN streamhouse.objects.changed_at IS 'since when it has been in its state';

CREATE FUNCTION streamhouse.group_position(group_id int, log_id int)
RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_group_position';
COMMENT ON FUNCTION streamhouse.group_position(int, int) IS
    'internal: the offset that a group reads next, for the view consumer_lag';

CREATE VIEW streamhouse.consumer_lag WITH (security_barrier) AS
SELECT p.consumer_group, p.topic, p.partition, p.position, p.next_offset,
       p.next_offset OPERATOR(pg_catalog.-) p.position AS lag
FROM (SELECT g.name AS consumer_group,
             t.relid::pg_catalog.regclass AS topic,
             l.partition,
             streamhouse.group_position(g.group_id, l.log_id) AS position,
             streamhouse.next_offset(l.log_id) AS next_offset
      FROM streamhouse.consumer_group g
           JOIN streamhouse.topic t ON t.topic_id OPERATOR(pg_catalog.=) g.topic_id
           JOIN streamhouse.log l ON l.topic_id OPERATOR(pg_catalog.=) t.topic_id
           JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
           JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
      WHERE pg_catalog.pg_has_role(g.owner, 'USAGE')
        AND (pg_catalog.pg_has_role(c.relowner, 'USAGE')
             OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
             OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT'))) p;
COMMENT ON VIEW streamhouse.consumer_lag IS 'how far the consumer groups of whose owner role the user is a member have come, per partition';
COMMENT ON COLUMN streamhouse.consumer_lag.consumer_group IS 'name of the group';
COMMENT ON COLUMN streamhouse.consumer_lag.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.consumer_lag.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamhouse.consumer_lag.position IS 'the offset that the group reads next';
COMMENT ON COLUMN streamhouse.consumer_lag.next_offset IS 'as in the view logs';
COMMENT ON COLUMN streamhouse.consumer_lag.lag IS 'offsets from position to next_offset: rows that the group has not read, those that are being committed and gaps included';

--
-- Statistics
--

CREATE FUNCTION streamhouse.topic_counters(topic_id int, OUT counters bigint[], OUT histogram bigint[], OUT stats_reset timestamptz)
RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_topic_counters';
COMMENT ON FUNCTION streamhouse.topic_counters(int) IS
    'internal: what has been counted of a topic, for the view stat_topics';

CREATE FUNCTION streamhouse.group_counters(group_id int, OUT counters bigint[], OUT histogram bigint[], OUT stats_reset timestamptz)
RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_group_counters';
COMMENT ON FUNCTION streamhouse.group_counters(int) IS
    'internal: what has been counted of a consumer group, for the view stat_groups';

CREATE FUNCTION streamhouse.histogram_percentile(histogram bigint[], fraction double precision)
RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sth_histogram_percentile';
COMMENT ON FUNCTION streamhouse.histogram_percentile(bigint[], double precision) IS
    'upper bound, in milliseconds, of the bucket of a histogram up to which this fraction of all times lies; NULL if the histogram is empty';

CREATE FUNCTION streamhouse.stat_reset(topic regclass DEFAULT NULL)
RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_stat_reset';
COMMENT ON FUNCTION streamhouse.stat_reset(regclass) IS
    'sets the counters of a topic, of its groups and of its flushes to zero, for its owner; NULL: of all topics, groups and servers of the database, for superusers';

CREATE VIEW streamhouse.stat_topics WITH (security_barrier) AS
SELECT t.relid::pg_catalog.regclass AS topic,
       s.counters[1] AS rows_produced,
       s.counters[2] AS bytes_produced,
       s.counters[3] AS transactions,
       s.counters[4] AS rows_polled,
       s.counters[5] AS bytes_polled,
       s.counters[6] AS batches_polled,
       s.counters[7] AS voids,
       s.counters[8] AS offsets_voided,
       s.histogram AS commit_histogram,
       streamhouse.histogram_percentile(s.histogram, 0.5) AS commit_p50_ms,
       streamhouse.histogram_percentile(s.histogram, 0.99) AS commit_p99_ms,
       s.stats_reset
FROM streamhouse.topic t
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
     JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
     CROSS JOIN LATERAL streamhouse.topic_counters(t.topic_id) s
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
   OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT');
COMMENT ON VIEW streamhouse.stat_topics IS 'what committed transactions have done with the topics that the user owns, may read or may produce to; NULL where it could not be counted';
COMMENT ON COLUMN streamhouse.stat_topics.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.stat_topics.rows_produced IS 'rows produced';
COMMENT ON COLUMN streamhouse.stat_topics.bytes_produced IS 'bytes of their values, before compression';
COMMENT ON COLUMN streamhouse.stat_topics.transactions IS 'transactions that produced';
COMMENT ON COLUMN streamhouse.stat_topics.rows_polled IS 'rows that poll() returned, to all groups together';
COMMENT ON COLUMN streamhouse.stat_topics.bytes_polled IS 'bytes of their values, before compression';
COMMENT ON COLUMN streamhouse.stat_topics.batches_polled IS 'calls of poll() that returned rows';
COMMENT ON COLUMN streamhouse.stat_topics.voids IS 'gaps that the worker has closed';
COMMENT ON COLUMN streamhouse.stat_topics.offsets_voided IS 'offsets in them';
COMMENT ON COLUMN streamhouse.stat_topics.commit_histogram IS 'transactions that produced, by the time from taking offsets until their rows were visible; element i, from 1: up to 2^(i-1) microseconds, the last: longer';
COMMENT ON COLUMN streamhouse.stat_topics.commit_p50_ms IS 'half of these transactions took at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_topics.commit_p99_ms IS '99 of 100 of these transactions took at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_topics.stats_reset IS 'since when it is counted; NULL: since the server started';

CREATE VIEW streamhouse.stat_groups WITH (security_barrier) AS
SELECT g.name AS consumer_group,
       t.relid::pg_catalog.regclass AS topic,
       s.counters[1] AS polls,
       s.counters[2] AS empty_polls,
       s.counters[3] AS rows,
       s.counters[4] AS bytes,
       s.counters[5] AS waits,
       s.counters[6]::pg_catalog.float8 OPERATOR(pg_catalog./) 1000 AS wait_time_ms,
       s.histogram AS wait_histogram,
       streamhouse.histogram_percentile(s.histogram, 0.5) AS wait_p50_ms,
       streamhouse.histogram_percentile(s.histogram, 0.99) AS wait_p99_ms,
       s.stats_reset
FROM streamhouse.consumer_group g
     JOIN streamhouse.topic t ON t.topic_id OPERATOR(pg_catalog.=) g.topic_id
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
     JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
     CROSS JOIN LATERAL streamhouse.group_counters(g.group_id) s
WHERE pg_catalog.pg_has_role(g.owner, 'USAGE')
  AND (pg_catalog.pg_has_role(c.relowner, 'USAGE')
       OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
       OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT'));
COMMENT ON VIEW streamhouse.stat_groups IS 'what committed transactions have done with the consumer groups of whose owner role the user is a member; NULL where it could not be counted';
COMMENT ON COLUMN streamhouse.stat_groups.consumer_group IS 'name of the group';
COMMENT ON COLUMN streamhouse.stat_groups.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.stat_groups.polls IS 'calls of poll()';
COMMENT ON COLUMN streamhouse.stat_groups.empty_polls IS 'calls of poll() that returned no row';
COMMENT ON COLUMN streamhouse.stat_groups.rows IS 'rows that poll() returned';
COMMENT ON COLUMN streamhouse.stat_groups.bytes IS 'bytes of their values, before compression';
COMMENT ON COLUMN streamhouse.stat_groups.waits IS 'calls of wait(), and of poll() with a timeout, that slept';
COMMENT ON COLUMN streamhouse.stat_groups.wait_time_ms IS 'how long they slept together, in milliseconds';
COMMENT ON COLUMN streamhouse.stat_groups.wait_histogram IS 'these calls by how long each slept; element i, from 1: up to 2^(i-1) microseconds, the last: longer';
COMMENT ON COLUMN streamhouse.stat_groups.wait_p50_ms IS 'half of these calls slept at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_groups.wait_p99_ms IS '99 of 100 of these calls slept at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_groups.stats_reset IS 'since when it is counted; NULL: since the server started';

CREATE FUNCTION streamhouse.flush_counters(topic_id int, OUT counters bigint[], OUT times bigint[], OUT sizes bigint[], OUT last_error text, OUT last_error_at timestamptz, OUT stats_reset timestamptz)
RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_flush_counters';
COMMENT ON FUNCTION streamhouse.flush_counters(int) IS
    'internal: what has been counted of a topic''s flushes, for the view stat_flush';

CREATE VIEW streamhouse.stat_flush WITH (security_barrier) AS
SELECT t.relid::pg_catalog.regclass AS topic,
       v.srvname AS server,
       s.counters[1] AS flushes,
       s.counters[2] AS segments,
       s.counters[3] AS rows,
       s.counters[4] AS bytes,
       s.counters[5] AS stored_bytes,
       s.sizes AS size_histogram,
       s.times AS time_histogram,
       streamhouse.histogram_percentile(s.times, 0.5) AS time_p50_ms,
       streamhouse.histogram_percentile(s.times, 0.99) AS time_p99_ms,
       s.counters[6] AS failures,
       s.last_error,
       s.last_error_at,
       u.oldest_unflushed,
       u.tail_bytes,
       s.stats_reset
FROM streamhouse.topic t
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
     JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
     JOIN pg_catalog.pg_foreign_server v ON v.oid OPERATOR(pg_catalog.=) f.ftserver
     CROSS JOIN LATERAL streamhouse.flush_counters(t.topic_id) s
     CROSS JOIN LATERAL (SELECT pg_catalog.min(streamhouse.unflushed(l.log_id)) AS oldest_unflushed,
                                pg_catalog.sum(streamhouse.tail_bytes(l.log_id))::bigint AS tail_bytes
                         FROM streamhouse.log l
                         WHERE l.topic_id OPERATOR(pg_catalog.=) t.topic_id) u
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT')
   OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT');
COMMENT ON VIEW streamhouse.stat_flush IS 'how rows of the topics that the user owns, may read or may produce to have become segments; counters are NULL where it could not be counted';
COMMENT ON COLUMN streamhouse.stat_flush.topic IS 'the topic';
COMMENT ON COLUMN streamhouse.stat_flush.server IS 'foreign server that keeps its segments';
COMMENT ON COLUMN streamhouse.stat_flush.flushes IS 'objects written that have segments of it';
COMMENT ON COLUMN streamhouse.stat_flush.segments IS 'segments written';
COMMENT ON COLUMN streamhouse.stat_flush.rows IS 'rows in them';
COMMENT ON COLUMN streamhouse.stat_flush.bytes IS 'bytes of these rows, before compression';
COMMENT ON COLUMN streamhouse.stat_flush.stored_bytes IS 'bytes of the segments';
COMMENT ON COLUMN streamhouse.stat_flush.size_histogram IS 'segments by the bytes of their rows, before compression; element i, from 1: up to 2^(i-1) kB, the last: larger';
COMMENT ON COLUMN streamhouse.stat_flush.time_histogram IS 'flushes by how long the writing of the object took, until before the commit; element i, from 1: up to 2^(i-1) microseconds, the last: longer';
COMMENT ON COLUMN streamhouse.stat_flush.time_p50_ms IS 'half of the flushes took at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_flush.time_p99_ms IS '99 of 100 of the flushes took at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_flush.failures IS 'tries to write a segment of it that have failed';
COMMENT ON COLUMN streamhouse.stat_flush.last_error IS 'error of the last one, if it is still known';
COMMENT ON COLUMN streamhouse.stat_flush.last_error_at IS 'when that was';
COMMENT ON COLUMN streamhouse.stat_flush.oldest_unflushed IS 'since when rows wait for their segment, as far as the server knows; NULL: none do';
COMMENT ON COLUMN streamhouse.stat_flush.tail_bytes IS 'bytes that these rows take in the tail and its index; NULL: not known';
COMMENT ON COLUMN streamhouse.stat_flush.stats_reset IS 'since when it is counted; NULL: since the server started';

CREATE FUNCTION streamhouse.turns(OUT pid int, OUT topic regclass, OUT partition int, OUT first_offset bigint, OUT began timestamptz)
RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 4 AS 'MODULE_PATHNAME', 'sth_turns';
COMMENT ON FUNCTION streamhouse.turns() IS
    'internal: who has taken offsets and not ended, for the view in_flight';

CREATE VIEW streamhouse.in_flight WITH (security_barrier) AS
SELECT t.pid, a.usename, a.application_name, a.wait_event_type, a.wait_event,
       t.topic, t.partition, t.first_offset, t.began,
       pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) t.began AS duration
FROM streamhouse.turns() t
     LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) t.pid;
COMMENT ON VIEW streamhouse.in_flight IS 'transactions that have taken offsets and not ended, and so hold up read() and poll(), by partition; of topics that the user owns, may read or may produce to';
COMMENT ON COLUMN streamhouse.in_flight.pid IS 'process ID of the session';
COMMENT ON COLUMN streamhouse.in_flight.usename IS 'its user';
COMMENT ON COLUMN streamhouse.in_flight.application_name IS 'its application_name';
COMMENT ON COLUMN streamhouse.in_flight.wait_event_type IS 'what it waits for, as in pg_stat_activity; NULL: for nothing, or it is not the user''s to know';
COMMENT ON COLUMN streamhouse.in_flight.wait_event IS 'likewise; SyncRep: a synchronous standby';
COMMENT ON COLUMN streamhouse.in_flight.topic IS 'the topic; NULL: it commits to more than 8 partitions and holds up all of the database';
COMMENT ON COLUMN streamhouse.in_flight.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamhouse.in_flight.first_offset IS 'the first offset that it took there, before which ordered readers stop; NULL: not taken yet';
COMMENT ON COLUMN streamhouse.in_flight.began IS 'when it began to take offsets';
COMMENT ON COLUMN streamhouse.in_flight.duration IS 'how long ago that was';

CREATE FUNCTION streamhouse.server_health(server oid, OUT requests bigint[], OUT counters bigint[], OUT histogram bigint[],
    OUT in_flight int, OUT max_in_flight int, OUT breaker text, OUT failures int, OUT retry_at timestamptz,
    OUT last_error text, OUT last_error_at timestamptz, OUT stats_reset timestamptz)
RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'sth_server_health';
COMMENT ON FUNCTION streamhouse.server_health(oid) IS
    'internal: what has been counted of a server, and how it does, for the view stat_servers';

CREATE VIEW streamhouse.stat_servers WITH (security_barrier) AS
SELECT s.srvname AS server,
       h.requests[1] AS puts,
       h.requests[2] AS parts,
       h.requests[3] AS uploads,
       h.requests[4] AS gets,
       h.requests[5] AS heads,
       h.requests[6] AS lists,
       h.requests[7] AS deletes,
       h.counters[1] AS bytes_sent,
       h.counters[2] AS bytes_received,
       h.counters[3] AS retries,
       h.counters[4] AS throttles,
       h.counters[5] AS errors,
       h.counters[6] AS connections,
       h.counters[7] AS reuses,
       h.histogram AS request_histogram,
       streamhouse.histogram_percentile(h.histogram, 0.5) AS request_p50_ms,
       streamhouse.histogram_percentile(h.histogram, 0.99) AS request_p99_ms,
       h.in_flight, h.max_in_flight, h.breaker, h.failures, h.retry_at,
       h.last_error, h.last_error_at, h.stats_reset
FROM pg_catalog.pg_foreign_server s
     JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid OPERATOR(pg_catalog.=) s.srvfdw
     CROSS JOIN LATERAL streamhouse.server_health(s.oid) h
WHERE w.fdwname OPERATOR(pg_catalog.=) 'streamhouse'
  AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
  AND EXISTS (SELECT FROM pg_catalog.pg_options_to_table(s.srvoptions) o
              WHERE o.option_name OPERATOR(pg_catalog.=) 'url' AND o.option_value OPERATOR(pg_catalog.<>) 'database:');
COMMENT ON VIEW streamhouse.stat_servers IS 'how the buckets of the servers do that the user may use, and what was asked of them, by all processes of this database; NULL where it could not be counted';
COMMENT ON COLUMN streamhouse.stat_servers.server IS 'name of the foreign server';
COMMENT ON COLUMN streamhouse.stat_servers.puts IS 'objects written in one request';
COMMENT ON COLUMN streamhouse.stat_servers.parts IS 'parts of larger objects written';
COMMENT ON COLUMN streamhouse.stat_servers.uploads IS 'requests that begin, complete or abort an upload in parts';
COMMENT ON COLUMN streamhouse.stat_servers.gets IS 'ranges read';
COMMENT ON COLUMN streamhouse.stat_servers.heads IS 'objects asked about';
COMMENT ON COLUMN streamhouse.stat_servers.lists IS 'pages of keys listed';
COMMENT ON COLUMN streamhouse.stat_servers.deletes IS 'requests to delete, of one key or of up to 1000';
COMMENT ON COLUMN streamhouse.stat_servers.bytes_sent IS 'bytes of the requests'' bodies';
COMMENT ON COLUMN streamhouse.stat_servers.bytes_received IS 'bytes of the answers'' bodies';
COMMENT ON COLUMN streamhouse.stat_servers.retries IS 'requests that were not the first attempt';
COMMENT ON COLUMN streamhouse.stat_servers.throttles IS 'answers that asked for fewer requests (HTTP status 429 or 503)';
COMMENT ON COLUMN streamhouse.stat_servers.errors IS 'requests without an answer, or with one that was not what was asked for; keys that are not there included';
COMMENT ON COLUMN streamhouse.stat_servers.connections IS 'requests that made a connection';
COMMENT ON COLUMN streamhouse.stat_servers.reuses IS 'requests over a connection that was there';
COMMENT ON COLUMN streamhouse.stat_servers.request_histogram IS 'requests by how long each took; element i, from 1: up to 2^(i-1) microseconds, the last: longer';
COMMENT ON COLUMN streamhouse.stat_servers.request_p50_ms IS 'half of the requests took at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_servers.request_p99_ms IS '99 of 100 requests took at most so many milliseconds';
COMMENT ON COLUMN streamhouse.stat_servers.in_flight IS 'requests on their way now, of all processes';
COMMENT ON COLUMN streamhouse.stat_servers.max_in_flight IS 'how many may be; fewer for a while after the store asked for fewer';
COMMENT ON COLUMN streamhouse.stat_servers.breaker IS 'closed: requests pass; open: after failures in a row they wait; probing: one is trying, the others wait';
COMMENT ON COLUMN streamhouse.stat_servers.failures IS 'requests in a row without a useful answer';
COMMENT ON COLUMN streamhouse.stat_servers.retry_at IS 'when an open breaker lets a request pass';
COMMENT ON COLUMN streamhouse.stat_servers.last_error IS 'what went wrong last';
COMMENT ON COLUMN streamhouse.stat_servers.last_error_at IS 'when that was';
COMMENT ON COLUMN streamhouse.stat_servers.stats_reset IS 'since when it is counted; NULL: since the server started';

--
-- Servers
--

CREATE FUNCTION streamhouse.check_server(server name, OUT step text, OUT ok boolean, OUT detail text)
RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sth_check_server';
COMMENT ON FUNCTION streamhouse.check_server(name) IS
    'does step by step with a small object what a server that keeps topics in a bucket has to be able to do, and says what works; for the server''s owner';

CREATE FUNCTION streamhouse.take_over(server name)
RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sth_take_over';
COMMENT ON FUNCTION streamhouse.take_over(name) IS
    'makes this database the one that deletes objects in the bucket of a server, its own and those of the one that did so before; for the server''s owner';

--
-- Access: nothing that is not said here
--

REVOKE ALL ON ALL TABLES IN SCHEMA streamhouse FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA streamhouse FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA streamhouse FROM PUBLIC;

GRANT USAGE ON FOREIGN SERVER streamhouse TO PUBLIC;
GRANT SELECT ON streamhouse.topics, streamhouse.logs, streamhouse.segments, streamhouse.objects, streamhouse.consumer_lag,
    streamhouse.stat_topics, streamhouse.stat_groups, streamhouse.stat_flush, streamhouse.in_flight, streamhouse.stat_servers
TO PUBLIC;
GRANT EXECUTE ON FUNCTION
    streamhouse.create_topic(text, int, text, text, name, jsonb),
    streamhouse.produce(regclass, text, text, jsonb, int, timestamptz),
    streamhouse.produce(regclass, json, text, jsonb, int, timestamptz),
    streamhouse.produce(regclass, jsonb, text, jsonb, int, timestamptz),
    streamhouse.produce_bytes(regclass, bytea, bytea, jsonb, int, timestamptz),
    streamhouse.produce_batch(regclass, text[], text[], int),
    streamhouse.produce_batch_bytes(regclass, bytea[], bytea[], int),
    streamhouse.last_produced(),
    streamhouse.partition_for(regclass, text),
    streamhouse.check_server(name),
    streamhouse.take_over(name),
    streamhouse.read(anyelement, int, bigint, int, int),
    streamhouse.create_group(text, regclass, text),
    streamhouse.drop_group(text, regclass),
    streamhouse.poll(text, anyelement, int, int, interval, int[]),
    streamhouse.verify(regclass, boolean),
    streamhouse.flush(regclass),
    streamhouse.delete_records(regclass, int, bigint),
    streamhouse.unflushed(int),
    streamhouse.tail_bytes(int),
    streamhouse.next_offset(int),
    streamhouse.stable_offset(int),
    streamhouse.group_position(int, int),
    streamhouse.topic_counters(int),
    streamhouse.group_counters(int),
    streamhouse.flush_counters(int),
    streamhouse.histogram_percentile(bigint[], double precision),
    streamhouse.stat_reset(regclass),
    streamhouse.turns(),
    streamhouse.server_health(oid)
TO PUBLIC;
GRANT EXECUTE ON PROCEDURE streamhouse.wait(text, regclass, interval) TO PUBLIC;
