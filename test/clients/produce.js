// Produces and reads with node-postgres, as its users would;
// test/t/030_clients.pl says what has to come of it.
const { Client } = require('pg');

async function main() {
  const client = new Client({ host: process.env.PGHOST });
  await client.connect();
  const call = async (text, ...values) => Object.values((await client.query(text, values)).rows[0])[0];
  const produce = 'SELECT streamhouse.produce($1, $2, $3)';
  const when = new Date('2024-02-29T12:00:00Z');

  await client.query('BEGIN');
  await call(produce, 't', '{"n": 1}', 'text');
  await call('SELECT streamhouse.produce($1, $2::jsonb, $3)', 't', { n: 2 }, 'jsonb');
  await call('SELECT streamhouse.produce($1, $2::json, $3)', 't', { n: 3 }, 'json');
  await call(produce, 't', null, 'null');
  await call(`SELECT streamhouse.produce('t', '{"n": 4}', 'literal')`);
  console.log('partition:', await call('SELECT streamhouse.produce($1, $2, $3, partition => $4)', 't', 5, 'partition', 2));
  await call("SELECT streamhouse.produce('t', $1, key => $2, headers => $3, partition => $4, event_time => $5)",
    '6', 'all', { h: 'é' }, null, when);
  await client.query('INSERT INTO t (key, value, _timestamp) VALUES ($1, $2, $3)', ['insert', '[7]', when]);
  for (const n of [8, 9]) await client.query({ name: 'prepared', text: produce, values: ['t', n, 'many'] });
  await call(produce, 't', '10', 'copy');
  console.log('batch:', await call('SELECT streamhouse.produce_batch($1, $2, $3)', 't', ['{"n": 11}', null, '13'], ['batch', 'batch', null]));
  console.log('batch without keys:', await call('SELECT streamhouse.produce_batch($1, $2)', 't', []));
  console.log('bytes:', await call('SELECT streamhouse.produce_bytes($1, $2, $3)', 'b', Buffer.from([0, 255]), Buffer.from('\0key')));
  console.log('bytes batch:', await call('SELECT streamhouse.produce_batch_bytes($1, $2)', 'b', [Buffer.from([1]), null]));
  console.log('typed:', await call(produce, 'o', { id: 1, customer: 'é', amount: '1.50', at: when }, 'é'));
  await client.query('COMMIT');

  await client.query('BEGIN');
  await call(produce, 't', '0', 'not committed');
  await client.query('SAVEPOINT s');
  await call('SELECT streamhouse.produce($1, $2, partition => $3)', 't', '0', 99)
    .catch((error) => console.log('error:', error.code, error.message));
  await client.query('ROLLBACK TO s');
  await client.query('ROLLBACK');

  await client.query('BEGIN');
  await call(produce, 't', Buffer.from('14'), 'binary');
  for (let n = 15; n < 25; n++) await client.query({ name: 'prepared', text: produce, values: ['t', n, 'pipeline'] });
  await client.query('COMMIT');

  const produced = (await client.query(
    'SELECT topic, sum(last_offset - first_offset + 1)::int AS n FROM streamhouse.last_produced() GROUP BY 1')).rows;
  console.log('last_produced:', produced[0].topic, produced[0].n);
  const { rows } = await client.query(
    'SELECT _partition, _offset, key, value FROM streamhouse.read(NULL::t, $1, $2, max_records => $3)', [2, 0, 1]);
  console.log(`read: (${rows[0]._partition}, ${rows[0]._offset})`, rows.length);
  console.log('cursor:', (await client.query('SELECT * FROM t WHERE key = $1', ['pipeline'])).rows.length);
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
