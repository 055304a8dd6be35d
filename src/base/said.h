/* The one grammar of all that is said to people: an event line, then labels two spaces in, at most 100 columns; and strings of JSON. */
#ifndef BASE_SAID_H
#define BASE_SAID_H

#include <stdio.h>

#include "base/base.h"

#define SAID_VALUE 9 /* the column in which what a label says begins */

size_t said_line(const char *s);       /* how much of s goes on one line behind a label */
void said_label(FILE *out, const char *label, const char *value); /* on as many lines as it takes */
const char *said_json(char ch, char out[8]); /* a character of a string of JSON */
void said_string(FILE *out, const char *s);  /* quoted, for JSON */

#endif
