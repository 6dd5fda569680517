/* Files with keys: a byte of which kind it is, and the file. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "s3/profile.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const SthKeys none;
	static SthKeys keys;
	SthProfileFault fault;
	char	   *contents;

	if (size < 1)
		return 0;
	contents = (char *) copy_of(data + 1, size - 1);
	switch (sth_profile_read(contents, size - 1, data[0] & 2 ? "default" : "a",
							 data[0] & 1, &keys, &fault))
	{
		case STH_PROFILE_FOUND:
			if (keys.access_key[0] == '\0' || keys.secret[0] == '\0' ||
				strlen(keys.session_token) >= sizeof(keys.session_token))
				abort();
			break;
		case STH_PROFILE_DAMAGED:
			if (fault.line < 1 || (size_t) fault.line > size || fault.what == NULL)
				abort();
			/* FALLTHROUGH */
		case STH_PROFILE_ABSENT:
			if (memcmp(&keys, &none, sizeof(keys)) != 0)
				abort();
			break;
	}
	free(contents);
	return 0;
}
