/*-------------------------------------------------------------------------
 *
 * redis.c
 *	  What consumer.c does in its mode "latency", with a stream of Redis.
 *
 *	redis SOCKET RECORDS RATE SECONDS PRODUCERS
 *
 * XADD by so many connections, each record when it is due (pace.c); a consumer
 * of a group that takes up to 1,000 at a time by XREADGROUP BLOCK, and
 * acknowledges them with one XACK.
 *
 *-------------------------------------------------------------------------
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pace.h"

static redisContext *consumer;

static redisContext *
open_redis(const char *socket)
{
	redisContext *redis = redisConnectUnix(socket);

	if (redis == NULL || redis->err)
		fail("cannot connect", redis ? redis->errstr : "no memory");
	return redis;
}

static void
check_reply(redisContext *redis, redisReply *reply)
{
	if (reply == NULL)
		fail("no reply", redis->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		fail("error", reply->str);
}

static void
add_record(Producer *producer, const char *key, const char *value)
{
	const char *words[] = {"XADD", "stream", "*", "key", key, "value", value};
	const size_t lengths[] = {4, 6, 1, 3, KEY_LENGTH, 5, VALUE_LENGTH};
	int			done = 0;

	redisAppendCommandArgv(producer->conn, 7, words, lengths);
	while (!done)
		if (redisBufferWrite(producer->conn, &done) != REDIS_OK)
			fail("cannot send", ((redisContext *) producer->conn)->errstr);
}

static int
take_reply(Producer *producer)
{
	redisContext *redis = producer->conn;
	void	   *reply;

	if (redisBufferRead(redis) != REDIS_OK || redisGetReplyFromReader(redis, &reply) != REDIS_OK)
		fail("cannot receive", redis->errstr);
	if (reply == NULL)
		return 0;
	check_reply(redis, reply);
	freeReplyObject(reply);
	return 1;
}

static void
acknowledge(const redisReply *entries)
{
	int			n = (int) entries->elements + 3;
	const char **words = allocate(n * sizeof(char *));
	redisReply *reply;

	words[0] = "XACK";
	words[1] = "stream";
	words[2] = "group";
	for (int i = 3; i < n; i++)
		words[i] = entries->element[i - 3]->element[0]->str;
	reply = redisCommandArgv(consumer, n, words, NULL);
	check_reply(consumer, reply);
	freeReplyObject(reply);
	free(words);
}

/* An entry is its id and a list: "key", the key, "value", the value. */
static void
take_entries(Pace *pace, const redisReply *entries, double time)
{
	for (size_t i = 0; i < entries->elements; i++)
		pace_received(pace, entries->element[i]->element[1]->element[3]->str, time);
	acknowledge(entries);
}

static void
consume_stream(Pace *pace)
{
	while (!pace_is_over(pace))
	{
		redisReply *reply = redisCommand(consumer,
										 "XREADGROUP GROUP group one COUNT 1000 BLOCK 1000 STREAMS stream >");
		double		time = now();

		check_reply(consumer, reply);
		if (reply->type == REDIS_REPLY_ARRAY)
			take_entries(pace, reply->element[0]->element[1], time);
		freeReplyObject(reply);
	}
}

int
main(int argc, char **argv)
{
	Pace		pace = {.send = add_record, .receive = take_reply, .consume = consume_stream};
	redisReply *reply;

	if (argc != 6)
	{
		fputs("redis: the head of redis.c says how it is called\n", stderr);
		return 2;
	}
	open_records(argv[2]);
	pace.rate = atof(argv[3]);
	pace.seconds = atof(argv[4]);
	pace.nproducers = atoi(argv[5]);
	pace.producers = allocate(pace.nproducers * sizeof(Producer));
	for (int i = 0; i < pace.nproducers; i++)
	{
		redisContext *redis = open_redis(argv[1]);

		pace.producers[i].conn = redis;
		pace.producers[i].fd = redis->fd;
	}
	consumer = open_redis(argv[1]);
	reply = redisCommand(consumer, "XGROUP CREATE stream group $ MKSTREAM");
	check_reply(consumer, reply);
	freeReplyObject(reply);
	pace_run(&pace);
	return 0;
}
