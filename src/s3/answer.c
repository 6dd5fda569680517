/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What the answers of a store say.
 *
 * S3 may answer with status 200 and an error document in the body, and pads
 * an answer that takes its time with blanks; so each of these looks for the
 * one that it expects, and for an error.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/answer.h"

#include <string.h>

/* A text that is only shown; what does not fit or is damaged is not. */
static void
take_shown(const SthXml *xml, char *to, size_t size)
{
	char		whole[1024];
	int			len = sth_xml_text(xml, whole, sizeof(whole));

	if (len < 0)
		return;
	if ((size_t) len > size - 1)
		len = (int) size - 1;
	for (int i = 0; i < len; i++)
		to[i] = whole[i] >= ' ' && whole[i] < 0x7f ? whole[i] : '?';
	to[len] = '\0';
}

bool
sth_answer_error(const char *body, size_t len, SthAnswerError *error)
{
	SthXml		xml;
	SthXmlEvent event;
	bool		is_error = false;

	memset(error, 0, sizeof(*error));
	sth_xml_begin(&xml, body, len);
	while ((event = sth_xml_next(&xml)) <= STH_XML_END)
	{
		if (sth_xml_at(&xml, "Error") || sth_xml_at(&xml, "ErrorResponse"))
			is_error = true;
		if (event != STH_XML_END)
			continue;
		if (sth_xml_at(&xml, "Error/Code") || sth_xml_at(&xml, "ErrorResponse/Error/Code"))
			take_shown(&xml, error->code, sizeof(error->code));
		else if (sth_xml_at(&xml, "Error/Message") || sth_xml_at(&xml, "ErrorResponse/Error/Message"))
			take_shown(&xml, error->message, sizeof(error->message));
		else if (sth_xml_at(&xml, "Error/Region"))
			take_shown(&xml, error->region, sizeof(error->region));
		else if (sth_xml_at(&xml, "Error/Endpoint"))
			take_shown(&xml, error->endpoint, sizeof(error->endpoint));
		else if (sth_xml_at(&xml, "Error/RequestId") || sth_xml_at(&xml, "ErrorResponse/RequestId"))
			take_shown(&xml, error->request_id, sizeof(error->request_id));
	}
	if (!is_error || event == STH_XML_DAMAGED)
		memset(error, 0, sizeof(*error));
	return is_error && event == STH_XML_DONE;
}

/* For a body that is not what was expected: an error, or damage? */
static SthAnswerResult
unexpected(const char *body, size_t len)
{
	SthAnswerError error;

	return sth_answer_error(body, len, &error) ? STH_ANSWER_ERROR : STH_ANSWER_DAMAGED;
}

/* --- values --------------------------------------------------------------- */

static bool
parse_number(const char *digits, uint64_t *value)
{
	if (*digits == '\0')
		return false;
	for (*value = 0; *digits != '\0'; digits++)
	{
		if (*digits < '0' || *digits > '9' ||
			*value > (UINT64_MAX - (uint64_t) (*digits - '0')) / 10)
			return false;
		*value = *value * 10 + (uint64_t) (*digits - '0');
	}
	return true;
}

/* Days since 1970 of a day of the Gregorian calendar. */
static int64_t
day_number(int year, int month, int day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int			years = year - 1;
	int64_t		days = 365 * (int64_t) years + years / 4 - years / 100 + years / 400;

	days += before[month - 1] + day - 1;
	if (month > 2 && (year % 4 == 0) && (year % 100 != 0 || year % 400 == 0))
		days++;
	return days - 719162;
}

bool
sth_parse_time(const char *time, int64_t *seconds)
{
	static const char form[] = "0000-00-00T00:00:00";
	int			n[6] = {0, 0, 0, 0, 0, 0};
	int			field = 0;
	const char *p = time;

	for (const char *f = form; *f != '\0'; f++, p++)
	{
		if (*f != '0')
		{
			if (*p != *f)
				return false;
			field++;
		}
		else if (*p < '0' || *p > '9')
			return false;
		else
			n[field] = n[field] * 10 + (*p - '0');
	}
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9';)
			p++;
	if (strcmp(p, "Z") != 0 || n[0] < 1 || n[1] < 1 || n[1] > 12 || n[2] < 1 ||
		n[2] > 31 || n[3] > 23 || n[4] > 59 || n[5] > 60)
		return false;
	*seconds = ((day_number(n[0], n[1], n[2]) * 24 + n[3]) * 60 + n[4]) * 60 + n[5];
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Undoes, in place, what encoding-type=url did; false if it was not that. */
static bool
decode_url(char *text)
{
	char	   *to = text;

	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p == '%')
		{
			int			high = hex_digit(p[1]);
			int			low = high < 0 ? -1 : hex_digit(p[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			*to++ = (char) (high * 16 + low);
			p += 2;
		}
		else
			*to++ = *p == '+' ? ' ' : *p;
	}
	*to = '\0';
	return true;
}

/* --- listings ------------------------------------------------------------- */

/* What has been seen of an object. */
typedef enum Seen
{
	SEEN_KEY = 1, SEEN_SIZE = 2, SEEN_TIME = 4, SEEN_ALL = 7
} Seen;

/*
 * A key in a listing, where it is encoded up to three times as long; false if
 * it is damaged.
 */
static bool
take_key(const SthXml *xml, bool url_encoded, char *key)
{
	char		encoded[3 * STH_S3_MAX_KEY + 1];
	int			len = sth_xml_text(xml, encoded, sizeof(encoded));

	if (len <= 0 || (url_encoded && !decode_url(encoded)))
		return false;
	len = (int) strlen(encoded);
	if (len > STH_S3_MAX_KEY)
		return false;
	memcpy(key, encoded, (size_t) len + 1);
	return true;
}

/* At the end of an element of an object's; false if it is damaged. */
static bool
take_listed(const SthListing *listing, SthListed *listed, int *seen)
{
	const SthXml *xml = &listing->xml;
	char		value[64];
	int			what = 0;
	bool		sound = true;

	if (sth_xml_at(xml, "ListBucketResult/Contents/Key"))
	{
		what = SEEN_KEY;
		sound = take_key(xml, listing->url_encoded, listed->key);
	}
	else if (sth_xml_at(xml, "ListBucketResult/Contents/Size"))
	{
		what = SEEN_SIZE;
		sound = sth_xml_text(xml, value, sizeof(value)) >= 0 && parse_number(value, &listed->size);
	}
	else if (sth_xml_at(xml, "ListBucketResult/Contents/LastModified"))
	{
		what = SEEN_TIME;
		sound = sth_xml_text(xml, value, sizeof(value)) >= 0 && sth_parse_time(value, &listed->modified);
	}
	if (!sound || (*seen & what) != 0)
		return false;
	*seen |= what;
	return true;
}

SthAnswerResult
sth_listing_next(SthListing *listing, SthListed *listed)
{
	int			seen = 0;
	SthXmlEvent event;

	while ((event = sth_xml_next(&listing->xml)) <= STH_XML_END)
	{
		if (event != STH_XML_END)
			continue;
		if (!take_listed(listing, listed, &seen))
			return STH_ANSWER_DAMAGED;
		if (sth_xml_at(&listing->xml, "ListBucketResult/Contents"))
			return seen == SEEN_ALL ? STH_ANSWER_OK : STH_ANSWER_DAMAGED;
	}
	return event == STH_XML_DONE ? STH_ANSWER_END : STH_ANSWER_DAMAGED;
}

/* What concerns the whole page; false if it is damaged. */
static bool
take_page(SthListing *listing, bool *told_more)
{
	const SthXml *xml = &listing->xml;
	char		value[64];

	if (sth_xml_at(xml, "ListBucketResult/EncodingType"))
		listing->url_encoded = sth_xml_text(xml, value, sizeof(value)) >= 0 && strcmp(value, "url") == 0;
	else if (sth_xml_at(xml, "ListBucketResult/IsTruncated"))
	{
		if (sth_xml_text(xml, value, sizeof(value)) < 0)
			return false;
		*told_more = true;
		listing->more = strcmp(value, "true") == 0;
		return listing->more || strcmp(value, "false") == 0;
	}
	else if (sth_xml_at(xml, "ListBucketResult/NextContinuationToken"))
		return sth_xml_text(xml, listing->token, sizeof(listing->token)) > 0;
	return true;
}

SthAnswerResult
sth_listing_begin(SthListing *listing, const char *body, size_t len)
{
	SthListed	listed;
	SthXmlEvent event;
	SthAnswerResult result;
	bool		told_more = false;

	memset(listing, 0, sizeof(*listing));
	sth_xml_begin(&listing->xml, body, len);
	while ((event = sth_xml_next(&listing->xml)) <= STH_XML_END)
		if (event == STH_XML_END && !take_page(listing, &told_more))
			return STH_ANSWER_DAMAGED;
	if (event == STH_XML_DAMAGED || !told_more)
		return unexpected(body, len);

	/* the objects, now that it is known how keys are encoded */
	sth_xml_begin(&listing->xml, body, len);
	while ((result = sth_listing_next(listing, &listed)) == STH_ANSWER_OK)
		;
	sth_xml_begin(&listing->xml, body, len);
	return result == STH_ANSWER_END ? STH_ANSWER_OK : STH_ANSWER_DAMAGED;
}

/* --- multipart uploads ---------------------------------------------------- */

SthAnswerResult
sth_answer_upload(const char *body, size_t len, char *upload_id, size_t size)
{
	SthXml		xml;
	SthXmlEvent event;
	bool		found = false;

	sth_xml_begin(&xml, body, len);
	while ((event = sth_xml_next(&xml)) <= STH_XML_END)
		if (event == STH_XML_END && sth_xml_at(&xml, "InitiateMultipartUploadResult/UploadId"))
		{
			if (found || sth_xml_text(&xml, upload_id, size) <= 0)
				return STH_ANSWER_DAMAGED;
			found = true;
		}
	return found && event == STH_XML_DONE ? STH_ANSWER_OK : unexpected(body, len);
}

#define UPLOADS "ListMultipartUploadsResult/"

SthAnswerResult
sth_uploads_next(SthUploads *uploads, SthUpload *upload)
{
	SthXml	   *xml = &uploads->xml;
	SthXmlEvent event;

	upload->key[0] = upload->upload_id[0] = '\0';
	while ((event = sth_xml_next(xml)) <= STH_XML_END)
	{
		if (event != STH_XML_END)
			continue;
		if (sth_xml_at(xml, UPLOADS "Upload/Key"))
		{
			if (!take_key(xml, uploads->url_encoded, upload->key))
				return STH_ANSWER_DAMAGED;
		}
		else if (sth_xml_at(xml, UPLOADS "Upload/UploadId"))
		{
			if (sth_xml_text(xml, upload->upload_id, sizeof(upload->upload_id)) <= 0)
				return STH_ANSWER_DAMAGED;
		}
		else if (sth_xml_at(xml, UPLOADS "Upload"))
			return upload->key[0] != '\0' && upload->upload_id[0] != '\0' ?
				STH_ANSWER_OK : STH_ANSWER_DAMAGED;
	}
	return event == STH_XML_DONE ? STH_ANSWER_END : STH_ANSWER_DAMAGED;
}

SthAnswerResult
sth_uploads_begin(SthUploads *uploads, const char *body, size_t len)
{
	SthUpload	upload;
	SthXmlEvent event;
	SthAnswerResult result;
	char		value[16];
	bool		is_listing = false;

	memset(uploads, 0, sizeof(*uploads));
	sth_xml_begin(&uploads->xml, body, len);
	while ((event = sth_xml_next(&uploads->xml)) <= STH_XML_END)
	{
		if (sth_xml_at(&uploads->xml, "ListMultipartUploadsResult"))
			is_listing = true;
		if (event != STH_XML_END)
			continue;
		if (sth_xml_at(&uploads->xml, UPLOADS "EncodingType"))
			uploads->url_encoded = sth_xml_text(&uploads->xml, value, sizeof(value)) >= 0 &&
				strcmp(value, "url") == 0;
		else if (sth_xml_at(&uploads->xml, UPLOADS "IsTruncated"))
			uploads->more = sth_xml_text(&uploads->xml, value, sizeof(value)) >= 0 &&
				strcmp(value, "true") == 0;
	}
	if (event == STH_XML_DAMAGED || !is_listing)
		return unexpected(body, len);

	/* the uploads, now that it is known how keys are encoded */
	sth_xml_begin(&uploads->xml, body, len);
	while ((result = sth_uploads_next(uploads, &upload)) == STH_ANSWER_OK)
		;
	sth_xml_begin(&uploads->xml, body, len);
	return result == STH_ANSWER_END ? STH_ANSWER_OK : STH_ANSWER_DAMAGED;
}

SthAnswerResult
sth_answer_completed(const char *body, size_t len)
{
	SthXml		xml;
	SthXmlEvent event;
	bool		completed = false;

	sth_xml_begin(&xml, body, len);
	while ((event = sth_xml_next(&xml)) <= STH_XML_END)
		if (sth_xml_at(&xml, "CompleteMultipartUploadResult"))
			completed = true;
	return completed && event == STH_XML_DONE ? STH_ANSWER_OK : unexpected(body, len);
}

/* --- deletions ------------------------------------------------------------ */

SthAnswerResult
sth_deletions_next(SthDeletions *deletions, SthNotDeleted *failed)
{
	SthXml	   *xml = &deletions->xml;
	SthXmlEvent event;

	memset(failed, 0, sizeof(*failed));
	while ((event = sth_xml_next(xml)) <= STH_XML_END)
	{
		if (event != STH_XML_END)
			continue;
		if (sth_xml_at(xml, "DeleteResult/Error/Key"))
		{
			if (!take_key(xml, false, failed->key))
				return STH_ANSWER_DAMAGED;
		}
		else if (sth_xml_at(xml, "DeleteResult/Error/Code"))
			take_shown(xml, failed->error.code, sizeof(failed->error.code));
		else if (sth_xml_at(xml, "DeleteResult/Error/Message"))
			take_shown(xml, failed->error.message, sizeof(failed->error.message));
		else if (sth_xml_at(xml, "DeleteResult/Error"))
			return failed->key[0] != '\0' ? STH_ANSWER_OK : STH_ANSWER_DAMAGED;
	}
	return event == STH_XML_DONE ? STH_ANSWER_END : STH_ANSWER_DAMAGED;
}

SthAnswerResult
sth_deletions_begin(SthDeletions *deletions, const char *body, size_t len)
{
	SthNotDeleted failed;
	SthAnswerResult result;
	SthXml		root;

	sth_xml_begin(&root, body, len);
	if (sth_xml_next(&root) != STH_XML_BEGIN || !sth_xml_at(&root, "DeleteResult"))
		return unexpected(body, len);
	sth_xml_begin(&deletions->xml, body, len);
	while ((result = sth_deletions_next(deletions, &failed)) == STH_ANSWER_OK)
		;
	sth_xml_begin(&deletions->xml, body, len);
	return result == STH_ANSWER_END ? STH_ANSWER_OK : STH_ANSWER_DAMAGED;
}

/* --- keys of a role ------------------------------------------------------- */

#define ROLE_KEYS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"

/* At the end of an element; false if it is damaged. */
static bool
take_role_key(const SthXml *xml, SthKeys *keys)
{
	char		expires[64];

	if (sth_xml_at(xml, ROLE_KEYS "AccessKeyId"))
		return sth_xml_text(xml, keys->access_key, sizeof(keys->access_key)) > 0;
	if (sth_xml_at(xml, ROLE_KEYS "SecretAccessKey"))
		return sth_xml_text(xml, keys->secret, sizeof(keys->secret)) > 0;
	if (sth_xml_at(xml, ROLE_KEYS "SessionToken"))
		return sth_xml_text(xml, keys->session_token, sizeof(keys->session_token)) > 0;
	if (sth_xml_at(xml, ROLE_KEYS "Expiration"))
		return sth_xml_text(xml, expires, sizeof(expires)) > 0 &&
			sth_parse_time(expires, &keys->expires);
	return true;
}

SthAnswerResult
sth_answer_role(const char *body, size_t len, SthKeys *keys)
{
	SthXml		xml;
	SthXmlEvent event;
	bool		sound = true;

	memset(keys, 0, sizeof(*keys));
	sth_xml_begin(&xml, body, len);
	while (sound && (event = sth_xml_next(&xml)) <= STH_XML_END)
		if (event == STH_XML_END)
			sound = take_role_key(&xml, keys);
	if (sound && event == STH_XML_DONE && keys->access_key[0] != '\0' &&
		keys->secret[0] != '\0' && keys->session_token[0] != '\0' && keys->expires != 0)
		return STH_ANSWER_OK;
	explicit_bzero(keys, sizeof(*keys));
	return unexpected(body, len);
}
