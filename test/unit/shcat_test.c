/*
 * shcat prints what PostgreSQL would; SHCAT names it.  types.jsonl is what
 * row_to_json() gave for the rows of types-frame.hex in the database that
 * made them, but for geometry and ranges and the spelling of intervals.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "vector.h"

/* What a command prints, errors too; its exit status. */
static int
run(const char *arguments, Bytes *output)
{
	char		command[1024];
	char		buffer[4096];
	const char *shcat = getenv("SHCAT");
	FILE	   *pipe;
	size_t		n;
	int			status;

	output->data = NULL;
	output->len = output->limit = 0;
	snprintf(command, sizeof(command), "%s %s 2>&1", shcat ? shcat : "shcat", arguments);
	pipe = popen(command, "r");
	if (pipe == NULL)
		return -1;
	while ((n = fread(buffer, 1, sizeof(buffer), pipe)) > 0)
		take_bytes(output, (const uint8_t *) buffer, n);
	take_bytes(output, (const uint8_t *) "", 1);
	output->len--;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static Bytes
read_file(const char *path)
{
	Bytes		bytes = {NULL, 0, 0};
	char		buffer[4096];
	FILE	   *file = fopen(path, "rb");
	size_t		n;

	while (file != NULL && (n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		take_bytes(&bytes, (const uint8_t *) buffer, n);
	if (file != NULL)
		fclose(file);
	return bytes;
}

static void
write_file(const char *path, Bytes bytes)
{
	FILE	   *file = fopen(path, "wb");

	if (file == NULL || fwrite(bytes.data, 1, bytes.len, file) != bytes.len ||
		fclose(file) != 0)
		exit(1);
}

static void
test_rows(const char *name, const char *path)
{
	Bytes		object = read_vector(name);
	Bytes		expected = read_file(VECTORS "types.jsonl");
	Bytes		output;
	int			status;

	write_file(path, object);
	status = run(path, &output);
	ok(status == 0 && expected.len > 0 && output.len == expected.len &&
	   memcmp(output.data, expected.data, expected.len) == 0, "the rows of %s", name);
	free(object.data);
	free(expected.data);
	free(output.data);
}

int
main(void)
{
	char		path[] = "/tmp/shcat_test.XXXXXX";
	char		both[64];
	Bytes		small = make_small();
	Bytes		output;
	int			fd = mkstemp(path);

	if (fd < 0 || close(fd) != 0)
		return 1;
	test_rows("types", path);
	test_rows("types-lz4", path);
	test_rows("types-zstd", path);

	write_file(path, small);
	ok(run(path, &output) == 0 &&
	   strcmp((char *) output.data,
			  "{\"_topic\": \"public.small\", \"_partition\": 1, \"_offset\": 100, "
			  "\"_timestamp\": \"2026-01-01T00:00:00+00:00\", \"id\": 1, \"note\": \"hi\"}\n"
			  "{\"_topic\": \"public.small\", \"_partition\": 1, \"_offset\": 101, "
			  "\"_timestamp\": \"2026-01-01T00:00:00.00001+00:00\", \"id\": 2, \"note\": null}\n"
			  "{\"_topic\": \"public.small\", \"_partition\": 1, \"_offset\": 105, "
			  "\"_timestamp\": \"2026-01-01T00:00:00+00:00\", \"id\": 3, \"note\": \"!\"}\n") == 0,
	   "the rows of small");
	free(output.data);
	small.data[200] ^= 1;
	write_file(path, small);
	ok(run(path, &output) == 1 && strstr((char *) output.data, "byte ") &&
	   strstr((char *) output.data, "the checksum of"), "damage is named");
	free(output.data);
	small.len /= 2;
	write_file(path, small);
	ok(run(path, &output) == 1 && strstr((char *) output.data, "this is no end of an object"),
	   "half an object is none");
	free(output.data);
	ok(run("--help", &output) == 0 && strstr((char *) output.data, "usage: shcat FILE") &&
	   strstr((char *) output.data, "jsonb decoded"), "--help says which types it knows");
	free(output.data);
	snprintf(both, sizeof(both), "%s %s", path, path);
	ok(run(both, &output) == 2, "and that one file is enough");
	free(output.data);
	ok(run("/nonexistent/file", &output) == 1 &&
	   strstr((char *) output.data, "No such file or directory"), "a file that is not there");
	free(output.data);
	free(small.data);
	remove(path);
	return done_testing();
}
