/*-------------------------------------------------------------------------
 *
 * print.h
 *	  Values as PostgreSQL has them on disk, printed as JSON.
 *
 * The printers get the bytes of a value, without a varlena's header, and
 * return false if they are not a value of the type.  They trust no length.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SHCAT_PRINT_H
#define SHCAT_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "codec/footer.h"

typedef bool (*Printer) (FILE *out, const uint8_t *p, size_t len);

/* value.c */
extern bool print_column(FILE *out, const SthColumnInfo *column, uintptr_t value);
extern const char *const printed_types;

/* text.c */
extern void print_string(FILE *out, const char *s, size_t len);
extern void print_hex(FILE *out, const uint8_t *p, size_t len);
extern bool print_text(FILE *out, const uint8_t *p, size_t len);
extern bool print_json(FILE *out, const uint8_t *p, size_t len);
extern bool print_bytea(FILE *out, const uint8_t *p, size_t len);
extern bool print_uuid(FILE *out, const uint8_t *p, size_t len);
extern bool print_inet(FILE *out, const uint8_t *p, size_t len);
extern bool print_cidr(FILE *out, const uint8_t *p, size_t len);
extern bool print_macaddr(FILE *out, const uint8_t *p, size_t len);
extern bool print_bits(FILE *out, const uint8_t *p, size_t len);

/* number.c */
extern bool print_bool(FILE *out, const uint8_t *p, size_t len);
extern bool print_int(FILE *out, const uint8_t *p, size_t len);
extern bool print_float4(FILE *out, const uint8_t *p, size_t len);
extern bool print_float8(FILE *out, const uint8_t *p, size_t len);
extern bool print_numeric(FILE *out, const uint8_t *p, size_t len);

/* datetime.c */
extern bool print_date(FILE *out, const uint8_t *p, size_t len);
extern bool print_time(FILE *out, const uint8_t *p, size_t len);
extern bool print_timetz(FILE *out, const uint8_t *p, size_t len);
extern bool print_timestamp(FILE *out, const uint8_t *p, size_t len);
extern bool print_timestamptz(FILE *out, const uint8_t *p, size_t len);
extern bool print_interval(FILE *out, const uint8_t *p, size_t len);

/* jsonb.c */
extern bool print_jsonb(FILE *out, const uint8_t *p, size_t len);

#endif							/* SHCAT_PRINT_H */
