/*-------------------------------------------------------------------------
 *
 * key_json.h
 *	  Keys in the JSON that a machine's metadata service answers with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_KEY_JSON_H
#define STH_S3_KEY_JSON_H

#include "s3/keys.h"

/*
 * {"AccessKeyId": ..., "SecretAccessKey": ..., "Token": ..., "Expiration":
 * ...}, with whatever else; false, and no keys, if it is not that.
 */
extern bool sth_json_keys(const char *body, Size len, SthKeys *keys);

#endif							/* STH_S3_KEY_JSON_H */
