/*
 * What a small controller's program does all day, in one load: a linked list that is searched, sorted and reversed, integer
 * matrices, a state machine that reads numbers from text, and a CRC over the results.
 */
#include "loads.h"
#include <stddef.h>

enum { ITEMS = 120, SIDE = 14, TEXT = 420 };

static uint16_t crc16(uint16_t crc, uint32_t value)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		unsigned carry = (crc ^ value) & 1;

		crc >>= 1;
		value >>= 1;
		if (carry)
			crc ^= 0xa001;
	}
	return crc;
}

/* ---- lists ---- */

struct item {
	struct item *next;
	int16_t key, data;
};

static struct item items[ITEMS];

static struct item *list_make(uint64_t *random)
{
	for (unsigned k = 0; k < ITEMS; k++) {
		uint64_t r = next_random(random);

		items[k] = (struct item){k + 1 < ITEMS ? &items[k + 1] : NULL, (int16_t)(r & 0x3ff), (int16_t)(r >> 16)};
	}
	return items;
}

static struct item *list_merge(struct item *a, struct item *b)
{
	struct item head = {0}, *last = &head;

	while (a && b) {
		struct item **least = a->key <= b->key ? &a : &b;

		last->next = *least;
		last = *least;
		*least = last->next;
	}
	last->next = a ? a : b;
	return head.next;
}

static struct item *list_sort(struct item *list)
{
	struct item *slow = list, *fast;

	if (!list || !list->next)
		return list;
	for (fast = list->next; fast && fast->next; fast = fast->next->next)
		slow = slow->next;
	fast = slow->next;
	slow->next = NULL;
	return list_merge(list_sort(list), list_sort(fast));
}

static struct item *list_reverse(struct item *list)
{
	struct item *done = NULL;

	while (list) {
		struct item *next = list->next;

		list->next = done;
		done = list;
		list = next;
	}
	return done;
}

static const struct item *list_find(const struct item *list, int16_t key)
{
	while (list && list->key != key)
		list = list->next;
	return list;
}

static uint16_t lists(uint64_t *random)
{
	struct item *list = list_make(random);
	uint16_t crc = 0;

	for (int16_t key = 0; key < 40; key++) {
		const struct item *found = list_find(list, (int16_t)(key * 25));

		crc = crc16(crc, found ? (uint32_t)(uint16_t)found->data : 1);
		list = list_reverse(list);
	}
	list = list_sort(list);
	for (const struct item *i = list; i; i = i->next)
		crc = crc16(crc, (uint32_t)(uint16_t)i->key);
	return crc;
}

/* ---- matrices ---- */

static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];

static uint16_t matrices(uint64_t *random)
{
	uint16_t crc = 0;

	for (unsigned r = 0; r < SIDE; r++) {
		for (unsigned c = 0; c < SIDE; c++) {
			left[r][c] = (int16_t)(next_random(random) & 0xff);
			right[r][c] = (int16_t)(left[r][c] + (int16_t)c);
		}
	}
	for (unsigned r = 0; r < SIDE; r++) {
		for (unsigned c = 0; c < SIDE; c++) {
			int32_t sum = 0;

			for (unsigned k = 0; k < SIDE; k++)
				sum += left[r][k] * right[k][c];
			product[r][c] = sum;
		}
	}
	for (unsigned r = 0; r < SIDE; r++) {
		int32_t bits = 0;

		for (unsigned c = 0; c < SIDE; c++)
			bits += (product[r][c] >> 2 & 15) * (product[c][r] >> 5 & 127);
		crc = crc16(crc, (uint32_t)bits);
	}
	return crc;
}

/* ---- a state machine ---- */

enum state { START, SIGN, WHOLE, POINT, EXPONENT, EXPONENT_SIGN, POWER, WRONG, STATES };

static enum state step(enum state s, char c)
{
	int digit = c >= '0' && c <= '9';

	switch (s) {
	case START: return digit ? WHOLE : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : WRONG;
	case SIGN: return digit ? WHOLE : c == '.' ? POINT : WRONG;
	case WHOLE: return digit ? WHOLE : c == '.' ? POINT : c == 'e' ? EXPONENT : WRONG;
	case POINT: return digit ? POINT : c == 'e' ? EXPONENT : WRONG;
	case EXPONENT: return c == '+' || c == '-' ? EXPONENT_SIGN : digit ? POWER : WRONG;
	case EXPONENT_SIGN:
	case POWER: return digit ? POWER : WRONG;
	default: return WRONG;
	}
}

static uint16_t numbers(uint64_t *random)
{
	static const char *const words[] = {"5012", "+874", "-122", "35.54400", ".1234500", "-110.700", "5.500e+3", "-.123e-2",
					    "T0.3e-1F", "-T.T++Tq", "1T3.4e4z", "34.0e-T^"};
	char text[TEXT + 16];
	uint32_t ended[STATES] = {0}, passed[STATES] = {0};
	unsigned length = 0;
	uint16_t crc = 0;

	while (length < TEXT) {
		const char *word = words[next_random(random) % (sizeof(words) / sizeof(words[0]))];

		while (*word)
			text[length++] = *word++;
		text[length++] = ',';
	}
	text[length] = 0;
	for (const char *p = text; *p; p++) {
		enum state s = START;

		for (; *p != ','; p++) {
			enum state next = s == WRONG ? WRONG : step(s, *p);

			passed[s] += next != s;
			s = next;
		}
		ended[s]++;
	}
	for (unsigned s = 0; s < STATES; s++)
		crc = crc16(crc16(crc, ended[s]), passed[s]);
	return crc;
}

uint64_t core_mix(uint64_t n)
{
	uint64_t random = 0x123456789, sum = 0;

	while (n--) {
		sum = sum * 31 + lists(&random);
		sum = sum * 31 + matrices(&random);
		sum = sum * 31 + numbers(&random);
	}
	return sum;
}
