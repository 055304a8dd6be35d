#include "base/said.h"

#include <string.h>

enum { COLUMNS = 100 };

/* Up to the last ", " or, failing that, the last space. */
size_t said_line(const char *s)
{
	const size_t n = strlen(s), room = COLUMNS - SAID_VALUE;
	size_t comma = 0, space = 0;

	if (n <= room)
		return n;
	for (size_t k = 1; k <= room; k++) {
		if (s[k] != ' ')
			continue;
		space = k;
		if (s[k - 1] == ',' || s[k - 1] == ';')
			comma = k;
	}
	return comma ? comma : space ? space : room;
}

void said_label(FILE *out, const char *label, const char *value)
{
	do {
		const size_t n = said_line(value);

		fprintf(out, "  %-*s%.*s\n", SAID_VALUE - 2, label, (int)n, value);
		label = "";
		value += n;
		value += strspn(value, " ");
	} while (*value);
}

const char *said_json(char ch, char out[8])
{
	if (ch == '"' || ch == '\\')
		snprintf(out, 8, "\\%c", ch);
	else if ((u8)ch < 0x20)
		snprintf(out, 8, "\\u%04x", (unsigned)(u8)ch);
	else
		snprintf(out, 8, "%c", ch);
	return out;
}

void said_string(FILE *out, const char *s)
{
	char one[8];

	fputc('"', out);
	for (; *s; s++)
		fputs(said_json(*s, one), out);
	fputc('"', out);
}
