/* QMP: a greeting, commands as JSON objects, each with an answer, and events. QEMU's documentation, "QMP Protocol". */
#include "monitor/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <stdarg.h>

struct request {
	struct monitor *mon;
	struct client *c;
	struct json arguments;
	FILE *result;      /* what stands behind "return"; nothing: {} */
	char error[300];   /* of a person's words; "": it went well */
	const char *class; /* of the error */
};

static void refuse(struct request *r, const char *class, const char *fmt, ...) printf_like(3, 4);
static void refuse(struct request *r, const char *class, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	r->class = class;
}

/* ---- what leaves ---- */

void qmp_greet(struct monitor *mon, struct client *c)
{
	static const char text[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 1, \"major\": 0}, \"package\": "
	                           "\"turnstile " TS_VERSION "\"}, \"capabilities\": []}}\r\n";

	(void)mon;
	client_send(c, text, sizeof(text) - 1);
}

void qmp_event(struct monitor *mon, const char *name, const char *data)
{
	char text[256];
	u64 now = mon->m->clock.now;
	int n = snprintf(text, sizeof(text),
	                 "{\"timestamp\": {\"seconds\": %" PRIu64 ", \"microseconds\": %" PRIu64 "}, \"event\": \"%s\"%s%s}\r\n",
	                 now / 1000000000, now / 1000 % 1000000, name, data ? ", \"data\": " : "", data ? data : "");

	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		if (mon->client[i].fd >= 0 && mon->client[i].ready)
			client_send(&mon->client[i], text, (size_t)n);
}

/* ---- commands ---- */

static bool argument(struct request *r, const char *name, char *out, size_t room)
{
	struct json v;

	if (json_member(r->arguments, name, &v) && json_string(v, out, room))
		return true;
	refuse(r, "GenericError", "Parameter '%s' is missing, or no string", name);
	return false;
}

static void query_status(struct request *r)
{
	fprintf(r->result, "{\"running\": %s, \"singlestep\": false, \"status\": \"%s\"}", r->mon->stopped ? "false" : "true",
	        r->mon->stopped ? "paused" : "running");
}

static void query_version(struct request *r)
{
	fprintf(r->result, "{\"qemu\": {\"micro\": 0, \"minor\": 1, \"major\": 0}, \"package\": \"turnstile " TS_VERSION "\"}");
}

static void power_down(struct request *r)
{
	monitor_power_button(r->mon);
}

static void reset(struct request *r)
{
	monitor_reset(r->mon);
}

static void quit(struct request *r)
{
	monitor_quit(r->mon);
}

static void stop(struct request *r)
{
	monitor_stop(r->mon, true);
}

static void go_on(struct request *r)
{
	monitor_stop(r->mon, false);
}

static void dump(struct request *r)
{
	char path[1024], format[8] = "ppm";
	struct json v;
	struct err err;

	if (!argument(r, "filename", path, sizeof(path)))
		return;
	if (json_member(r->arguments, "format", &v) && !json_string(v, format, sizeof(format)))
		refuse(r, "GenericError", "Parameter 'format': ppm or png");
	else if (!monitor_dump(r->mon, path, format, &err))
		refuse(r, "GenericError", "%.290s", err.text);
}

/* {"type": "qcode", "data": "ctrl"}, joined by '-'. */
static void send_key(struct request *r)
{
	char names[256] = "", name[32];
	struct json keys, key, type, data;

	if (!json_member(r->arguments, "keys", &keys) || !json_element(keys, 0, &key)) {
		refuse(r, "GenericError", "Parameter 'keys' is missing, or no list");
		return;
	}
	for (unsigned n = 0; json_element(keys, n, &key); n++) {
		size_t used = strlen(names);
		if (!json_member(key, "type", &type) || !json_string(type, name, sizeof(name)) || strcmp(name, "qcode") != 0 ||
		    !json_member(key, "data", &data) || !json_string(data, name, sizeof(name)) ||
		    used + strlen(name) + 2 > sizeof(names)) {
			refuse(r, "GenericError", "Parameter 'keys': a list of {\"type\": \"qcode\", \"data\": NAME} is meant");
			return;
		}
		snprintf(names + used, sizeof(names) - used, "%s%s", used ? "-" : "", name);
	}
	if (!keys_press(r->mon->keys, names))
		refuse(r, "GenericError", "%.200s: no such keys, or too many are waiting", names);
}

static void person_command(struct request *r)
{
	char line[MONITOR_INPUT], *text = NULL;
	size_t n = 0;

	if (!argument(r, "command-line", line, sizeof(line)))
		return;
	FILE *f = open_memstream(&text, &n);
	if (!f)
		return;
	monitor_line(r->mon, line, f);
	fclose(f);
	json_quote(text, n, r->result);
	free(text);
}

static void query_commands(struct request *r);

static const struct command {
	const char *name;
	void (*run)(struct request *r);
} commands[] = {
        {"query-status", query_status}, {"query-version", query_version}, {"query-commands", query_commands},
        {"system_powerdown", power_down}, {"system_reset", reset}, {"quit", quit}, {"stop", stop}, {"cont", go_on},
        {"screendump", dump}, {"send-key", send_key}, {"human-monitor-command", person_command},
};

static void query_commands(struct request *r)
{
	fputs("[{\"name\": \"qmp_capabilities\"}", r->result);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(r->result, ", {\"name\": \"%s\"}", commands[i].name);
	fputs("]", r->result);
}

static void execute(struct request *r, const char *name)
{
	if (!r->c->ready) {
		r->c->ready = !strcmp(name, "qmp_capabilities");
		if (!r->c->ready)
			refuse(r, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!strcmp(commands[i].name, name)) {
			commands[i].run(r);
			return;
		}
	}
	refuse(r, "CommandNotFound", "The command %.80s has not been found", name);
}

static void answer(struct client *c, const struct request *r, const char *result, struct json id)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return;
	if (r->error[0]) {
		fprintf(f, "{\"error\": {\"class\": \"%s\", \"desc\": ", r->class);
		json_quote(r->error, strlen(r->error), f);
		fputs("}", f);
	} else {
		fprintf(f, "{\"return\": %s", *result ? result : "{}");
	}
	if (id.n)
		fprintf(f, ", \"id\": %.*s", (int)id.n, id.at);
	fputs("}\r\n", f);
	fclose(f);
	client_send(c, text, n);
	free(text);
}

static void request(struct monitor *mon, struct client *c, struct json text)
{
	struct request r = {.mon = mon, .c = c};
	struct json name, id = {"", 0};
	char word[96], *result = NULL;
	size_t n = 0;

	r.result = open_memstream(&result, &n);
	if (!r.result)
		return;
	(void)json_member(text, "id", &id);
	(void)json_member(text, "arguments", &r.arguments);
	if (!json_member(text, "execute", &name) || !json_string(name, word, sizeof(word)))
		refuse(&r, "GenericError", "QMP input lacks member 'execute'");
	else
		execute(&r, word);
	fclose(r.result);
	answer(c, &r, result, id);
	free(result);
}

size_t qmp_feed(struct monitor *mon, struct client *c)
{
	const struct request broken = {.class = "GenericError", .error = "JSON parse error"};
	size_t i = 0;

	while (i < c->used && c->input[i] && strchr(" \t\r\n", c->input[i]))
		i++;
	long n = json_value(c->input + i, c->used - i);
	if (!n && c->used - i < MONITOR_INPUT)
		return i;
	if (n <= 0) {
		answer(c, &broken, "", (struct json){"", 0});
		return c->used;
	}
	request(mon, c, (struct json){c->input + i, (size_t)n});
	return i + (size_t)n;
}
