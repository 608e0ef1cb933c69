// SPDX-License-Identifier: Apache-2.0
// A workload that does exactly what its command line says, for tests, benchmarks and the demo.
//
// There is no C library: between execve() and exit_group() there is nothing but the actions.
#include "raw.h"
#include "network.h"
#include "help.h"

#define WORDS_MAX 4096

static void run(char **words, int count);

// ---- what a word means -------------------------------------------------------------------

struct choice {
	const char *name;
	long value;
};

static long choose(const struct choice *choices, const char *what, const char *word)
{
	for (; choices->name; choices++)
		if (same(choices->name, word))
			return choices->value;
	usage_error(what, word);
}

static long open_flags(const char *letters)
{
	long flags = O_CLOEXEC, is_read = 0, is_write = 0;

	for (const char *at = letters; *at; at++) {
		switch (*at) {
		case 'r': is_read = 1; break;
		case 'w': is_write = 1; break;
		case 'c': flags |= O_CREAT; break;
		case 't': flags |= O_TRUNC; break;
		case 'a': flags |= O_APPEND; break;
		case 'x': flags |= O_EXCL; break;
		case 'd': flags |= O_DIRECTORY; break;
		case 'p': flags |= O_PATH; break;
		case 'n': flags |= O_NOFOLLOW; break;
		default: usage_error("not an open flag (r w c t a x d p n)", letters);
		}
	}
	return flags | (is_write ? (is_read ? O_RDWR : O_WRONLY) : O_RDONLY);
}

static long namespace_flags(const char *list)
{
	static const struct choice names[] = {
		{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},	   {"pid", CLONE_NEWPID},
		{"net", CLONE_NEWNET},	 {"uts", CLONE_NEWUTS},	   {"ipc", CLONE_NEWIPC},
		{"cgroup", CLONE_NEWCGROUP}, {"fs", CLONE_FS},	   {"files", CLONE_FILES},
		{0, 0},
	};
	char word[32];
	long flags = 0;

	if (*list >= '0' && *list <= '9')
		return number(list);
	while (*list) {
		size_t size = 0;

		while (*list && *list != '+' && size < sizeof(word) - 1)
			word[size++] = *list++;
		word[size] = 0;
		flags |= choose(names, "not a namespace", word);
		list += *list == '+';
	}
	return flags;
}

// An argument of a raw call: a number, or `@text` for a pointer to that text.
static void call_arguments(char **words, int count, long *args)
{
	for (int i = 0; i < 6; i++)
		args[i] = i >= count ? 0 : words[i][0] == '@' ? (long)(words[i] + 1) : number(words[i]);
}

// *words* without the brackets around it, as a list that execve() takes.
static char **command(char **words, int count, char **out)
{
	int is_group = count && same(words[0], "[");

	count -= 2 * is_group;
	words += is_group;
	for (int i = 0; i < count; i++)
		out[i] = words[i];
	out[count] = 0;
	return out;
}

// ---- actions: each returns what its last telling call returned ---------------------------

static long do_call(char **words, int count)
{
	long args[6], ret = 0;

	call_arguments(words + 2, count - 2, args);
	for (long n = number(words[1]), nr = number(words[0]); n > 0; n--)
		ret = raw(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	return ret;
}

static long do_int80(char **words, int count)
{
	long args[6], ret = 0;

	call_arguments(words + 2, count - 2, args);
	for (long n = number(words[1]), nr = number(words[0]); n > 0; n--)
		ret = raw_int80(nr, args);
	return ret;
}

static long do_x32(char **words, int count)
{
	long args[6], ret = 0;

	call_arguments(words + 2, count - 2, args);
	for (long n = number(words[1]), nr = number(words[0]) | X32_BIT; n > 0; n--)
		ret = raw(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	return ret;
}

static long do_open(char **words, int count)
{
	long fd = raw(SYS_open, words[0], open_flags(words[1]), 0600);

	(void)count;
	if (fd >= 0)
		raw(SYS_close, fd);
	return fd;
}

static long do_openat(char **words, int count)
{
	long fd = raw(SYS_openat, AT_FDCWD, words[0], open_flags(words[1]), 0600);

	(void)count;
	if (fd >= 0)
		raw(SYS_close, fd);
	return fd;
}

static long do_burst_open(char **words, int count)
{
	char path[4096];
	size_t size = length_of(words[0]);
	long opened = 0, files = number(words[1]);

	(void)count;
	if (size > sizeof(path) - 32)
		usage_error("longer than a path", words[0]);
	memcpy(path, words[0], size);
	path[size++] = '/';
	for (long i = 0; i < files; i++) {
		long fd;

		put_number(path + size, i);
		fd = raw(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			continue;
		opened++;
		raw(SYS_close, fd);
	}
	return opened;
}

static long do_exec(char **words, int count)
{
	char *argv[WORDS_MAX];

	return raw(SYS_execve, command(words, count, argv)[0], argv, environment);
}

// The exit code of *pid*, or minus the signal that ended it.
static long wait_for(long pid)
{
	int status = 0;
	long ret = raw(SYS_wait4, pid, &status, 0, 0);

	if (ret < 0)
		return ret;
	return status & 127 ? -(long)(status & 127) : status >> 8 & 255;
}

static long do_spawn(char **words, int count)
{
	char *argv[WORDS_MAX];
	long pid;

	command(words, count, argv);
	pid = raw(SYS_fork);
	if (pid == 0)
		leave(-raw(SYS_execve, argv[0], argv, environment));
	return pid < 0 ? pid : wait_for(pid);
}

static long do_storm_exec(char **words, int count)
{
	long ret = 0;

	for (long n = number(words[0]); n > 0; n--)
		ret = do_spawn(words + 1, count - 1);
	return ret;
}

static long do_vfork(char **words, int count)
{
	char *argv[WORDS_MAX];
	long pid;

	command(words, count, argv);
	pid = raw_vfork();
	if (pid == 0)
		leave(-raw(SYS_execve, argv[0], argv, environment));
	return pid < 0 ? pid : wait_for(pid);
}

static void run_group(char **words, int count)
{
	if (count)
		run(words + 1, count - 2);
}

static long do_fork(char **words, int count)
{
	long ret = 0;

	for (long n = number(words[0]); n > 0; n--) {
		long pid = raw(SYS_fork);

		if (pid == 0) {
			run_group(words + 1, count - 1);
			leave(0);
		}
		ret = pid < 0 ? pid : wait_for(pid);
	}
	return ret;
}

static long do_clone3(char **words, int count)
{
	struct clone_args how = {.exit_signal = SIGCHLD};
	long ret = 0;

	for (long n = number(words[0]); n > 0; n--) {
		long pid = raw(SYS_clone3, &how, sizeof(how));

		if (pid == 0) {
			run_group(words + 1, count - 1);
			leave(0);
		}
		ret = pid < 0 ? pid : wait_for(pid);
	}
	return ret;
}

struct group {
	char **words;
	int count;
};

static void thread_body(void *argument)
{
	const struct group *group = argument;

	run_group(group->words, group->count);
}

// CLONE_VFORK holds the caller until the thread has exited: no futex call, and one at a time.
static long do_thread(char **words, int count)
{
	static char stacks[4][65536] __attribute__((aligned(16)));
	static int depth;
	struct group group = {words + 1, count - 1};
	long ret = 0;

	if (depth == 4)
		usage_error("threads nest four deep at most", words[0]);
	for (long n = number(words[0]); n > 0; n--) {
		char *top = stacks[depth++] + sizeof(stacks[0]);

		ret = raw_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
					CLONE_SYSVSEM | CLONE_VFORK,
				top, thread_body, &group);
		depth--;
	}
	return ret;
}

static long do_repeat(char **words, int count)
{
	for (long n = number(words[0]); n > 0; n--)
		run_group(words + 1, count - 1);
	return 0;
}

static long do_memfd_exec(char **words, int count)
{
	char *argv[WORDS_MAX];
	long size, to, from;

	command(words, count, argv);
	to = raw(SYS_memfd_create, "known", 1);
	from = raw(SYS_open, argv[0], O_RDONLY | O_CLOEXEC);
	if (to < 0 || from < 0)
		return to < 0 ? to : from;
	do {
		size = raw(SYS_sendfile, to, from, 0, 1L << 30);
	} while (size > 0);
	raw(SYS_close, from);
	return raw(SYS_execveat, to, "", argv, environment, AT_EMPTY_PATH);
}

static long do_connect_v4(char **words, int count)
{
	struct address to = internet(INET, words[0], words[1]);

	(void)count;
	return do_connect(&to);
}

static long do_connect_v6(char **words, int count)
{
	struct address to = internet(INET6, words[0], words[1]);

	(void)count;
	return do_connect(&to);
}

static long do_unix(char **words, int count)
{
	struct address to = local(words[0]);

	(void)count;
	return do_connect(&to);
}

static long do_unix_listen(char **words, int count)
{
	struct address at = local(words[0]);

	(void)count;
	return do_listen(&at);
}

static long do_unix_datagram(char **words, int count)
{
	struct address to = local(words[0]);

	(void)count;
	return do_udp(&to, "x");
}

static long do_unix_messages(char **words, int count)
{
	(void)count;
	return do_messages(words[0], number(words[1]));
}

static long do_sockets(char **words, int count)
{
	static const char *const tables[] = {"native", "direct", "socketcall"};

	(void)count;
	for (int i = 0; i < 3; i++)
		if (same(words[0], tables[i]))
			return socket_table = (enum table)i;
	usage_error("not a table of calls", words[0]);
}

static long do_listen_v4(char **words, int count)
{
	struct address at = internet(INET, count > 1 ? words[1] : "0.0.0.0", words[0]);

	return do_listen(&at);
}

static long do_listen_v6(char **words, int count)
{
	struct address at = internet(INET6, count > 1 ? words[1] : "::", words[0]);

	return do_listen(&at);
}

static long do_accept_times(char **words, int count)
{
	(void)count;
	return do_accept(number(words[0]));
}

static long do_udp_v4(char **words, int count)
{
	struct address to = internet(INET, words[0], words[1]);

	return do_udp(&to, count > 2 ? words[2] : "known");
}

static long do_udp_v6(char **words, int count)
{
	struct address to = internet(INET6, words[0], words[1]);

	return do_udp(&to, count > 2 ? words[2] : "known");
}

static long do_udp_serve_v4(char **words, int count)
{
	struct address at = internet(INET, "0.0.0.0", words[0]);

	(void)count;
	return do_udp_serve(&at, number(words[1]));
}

static long do_unshare(char **words, int count)
{
	(void)count;
	return raw(SYS_unshare, namespace_flags(words[0]));
}

static long do_setns(char **words, int count)
{
	long ret, fd = raw(SYS_open, words[0], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fd;
	ret = raw(SYS_setns, fd, count > 1 ? namespace_flags(words[1]) : 0);
	raw(SYS_close, fd);
	return ret;
}

static void ignore_signal(int signal)
{
	(void)signal;
}

static long handle_signal(long signal, void (*handler)(int))
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} action = {handler, 0x04000000, raw_sigreturn, 0};

	return raw(SYS_rt_sigaction, signal, &action, 0, 8);
}

static long do_handle(char **words, int count)
{
	(void)count;
	return handle_signal(number(words[0]), ignore_signal);
}

#include "watched.h"

static long do_raise(char **words, int count)
{
	(void)count;
	return raw(SYS_kill, raw(SYS_getpid), number(words[0]));
}

static long do_chdir(char **words, int count)
{
	(void)count;
	return raw(SYS_chdir, words[0]);
}

static long do_wait_byte(char **words, int count)
{
	char byte;

	return raw(SYS_read, count ? number(words[0]) : 0, &byte, 1);
}

static long do_ready(char **words, int count)
{
	long fd = raw(SYS_open, words[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)count;
	if (fd >= 0)
		raw(SYS_close, fd);
	return fd;
}

static long do_ready_fd(char **words, int count)
{
	(void)count;
	return raw(SYS_write, number(words[0]), "\n", 1);
}

static long do_exit(char **words, int count)
{
	leave(count ? number(words[0]) : 0);
}

static long act(char **words, int count);

static long do_expect(char **words, int count)
{
	char text[80];
	long wanted = number(words[0]), got = act(words + 1, count - 1);

	if (got == wanted)
		return got;
	say(2, "error: `");
	say(2, words[1]);
	say(2, "` returned ");
	put_number(text, got);
	say(2, text);
	say(2, ", expected ");
	put_number(text, wanted);
	say(2, text);
	say(2, "\n");
	leave(1);
}

static long do_report(char **words, int count)
{
	char text[128];
	char *at = text;
	long got = act(words, count);

	for (const char *name = words[0]; *name && at < text + 64; name++)
		*at++ = *name;
	*at++ = ' ';
	at = put_number(at, got);
	*at++ = '\n';
	raw(SYS_write, 1, text, at - text);
	return got;
}

// ---- the language ------------------------------------------------------------------------

enum tail { PLAIN, GROUP, COMMAND, ACTION };

struct action {
	const char *name;
	long (*run)(char **words, int count);
	int words_min, words_max; // before the tail
	enum tail tail;		  // what may follow: nothing, `[ actions ]`, a command, an action
};

static const struct action actions[] = {
	{"call", do_call, 2, 8, PLAIN},
	{"int80", do_int80, 2, 8, PLAIN},
	{"x32", do_x32, 2, 8, PLAIN},
	{"open", do_open, 2, 2, PLAIN},
	{"openat", do_openat, 2, 2, PLAIN},
	{"burst-open", do_burst_open, 2, 2, PLAIN},
	{"exec", do_exec, 0, 0, COMMAND},
	{"spawn", do_spawn, 0, 0, COMMAND},
	{"spawn-fail", do_spawn, 0, 0, COMMAND},
	{"storm-exec", do_storm_exec, 1, 1, COMMAND},
	{"vfork", do_vfork, 0, 0, COMMAND},
	{"memfd-exec", do_memfd_exec, 0, 0, COMMAND},
	{"fork", do_fork, 1, 1, GROUP},
	{"clone3", do_clone3, 1, 1, GROUP},
	{"thread", do_thread, 1, 1, GROUP},
	{"repeat", do_repeat, 1, 1, GROUP},
	{"connect", do_connect_v4, 2, 2, PLAIN},
	{"connect6", do_connect_v6, 2, 2, PLAIN},
	{"unix", do_unix, 1, 1, PLAIN},
	{"unix-listen", do_unix_listen, 1, 1, PLAIN},
	{"unix-datagram", do_unix_datagram, 1, 1, PLAIN},
	{"unix-messages", do_unix_messages, 2, 2, PLAIN},
	{"sockets", do_sockets, 1, 1, PLAIN},
	{"listen", do_listen_v4, 1, 2, PLAIN},
	{"listen6", do_listen_v6, 1, 2, PLAIN},
	{"accept", do_accept_times, 1, 1, PLAIN},
	{"udp", do_udp_v4, 2, 3, PLAIN},
	{"udp6", do_udp_v6, 2, 3, PLAIN},
	{"udp-serve", do_udp_serve_v4, 2, 2, PLAIN},
	{"unshare", do_unshare, 1, 1, PLAIN},
	{"setns", do_setns, 1, 2, PLAIN},
	{"seccomp", do_seccomp, 2, 3, PLAIN},
	{"strict", do_strict, 0, 0, PLAIN},
	{"notify", do_notify, 2, 2, GROUP},
	{"traced", do_traced, 1, 1, GROUP},
	{"user-dispatch", do_user_dispatch, 2, 2, PLAIN},
	{"handle", do_handle, 1, 1, PLAIN},
	{"raise", do_raise, 1, 1, PLAIN},
	{"chdir", do_chdir, 1, 1, PLAIN},
	{"wait-byte", do_wait_byte, 0, 1, PLAIN},
	{"ready", do_ready, 1, 1, PLAIN},
	{"ready-fd", do_ready_fd, 1, 1, PLAIN},
	{"exit", do_exit, 0, 1, PLAIN},
	{"expect", do_expect, 1, 1, ACTION},
	{"report", do_report, 0, 0, ACTION},
	{0, 0, 0, 0, PLAIN},
};

static const struct action *find(const char *name)
{
	for (const struct action *action = actions; action->name; action++)
		if (same(action->name, name))
			return action;
	usage_error("no such action", name);
}

// How many words stand before the next `,` outside of brackets.
static int next_action(char **words, int count)
{
	int depth = 0, size = 0;

	for (; size < count; size++) {
		if (same(words[size], "["))
			depth++;
		else if (same(words[size], "]") && --depth < 0)
			usage_error("a bracket too many", words[size]);
		else if (same(words[size], ",") && !depth)
			break;
	}
	if (depth)
		usage_error("a bracket is not closed", "[");
	return size;
}

static void check(char **words, int count);

static void check_action(char **words, int count)
{
	const struct action *action = find(count ? words[0] : "");
	int rest = count - 1 - action->words_min;
	char **tail = words + 1 + action->words_min;
	int is_group = rest > 0 && same(tail[0], "[");

	if (rest < 0)
		usage_error("too few words for", action->name);
	if (is_group && !same(tail[rest - 1], "]"))
		usage_error("words after the brackets of", action->name);
	if (action->tail == PLAIN && rest > action->words_max - action->words_min)
		usage_error("too many words for", action->name);
	if (action->tail == GROUP && rest && (!is_group || rest < 3))
		usage_error("expected `[ ACTION ... ]` after", action->name);
	if (action->tail == COMMAND && (rest < 1 || (is_group && rest < 3)))
		usage_error("expected a command after", action->name);
	if (action->tail == GROUP && rest)
		check(tail + 1, rest - 2);
	if (action->tail == ACTION)
		check_action(tail, rest);
}

// Refuses a line that has an unknown action or too few words, before any action is done.
static void check(char **words, int count)
{
	for (int size; count > 0; words += size + 1, count -= size + 1) {
		size = next_action(words, count);
		check_action(words, size);
	}
}

static long act(char **words, int count)
{
	return find(words[0])->run(words + 1, count - 1);
}

static void run(char **words, int count)
{
	for (int size; count > 0; words += size + 1, count -= size + 1) {
		size = next_action(words, count);
		act(words, size);
	}
}

// Words and actions of a file: a line is an action, `#` begins a comment. open, reads, close.
static int read_words(const char *path, char **words)
{
	static char text[65536];
	long size = 0, got, fd = raw(SYS_open, path, O_RDONLY | O_CLOEXEC);
	int count = 0, is_line_open = 0;

	if (fd < 0)
		usage_error("cannot open", path);
	while ((got = raw(SYS_read, fd, text + size, sizeof(text) - 1 - (size_t)size)) > 0)
		size += got;
	raw(SYS_close, fd);
	for (char *at = text; *at && count < WORDS_MAX - 2;) {
		if (*at == '#')
			while (*at && *at != '\n')
				*at++ = 0;
		if (*at == '\n')
			is_line_open = 0;
		if (*at == ' ' || *at == '\t' || *at == '\n') {
			*at++ = 0;
			continue;
		}
		if (!*at)
			break;
		if (!is_line_open && count)
			words[count++] = ",";
		is_line_open = 1;
		words[count++] = at;
		while (*at && *at != ' ' && *at != '\t' && *at != '\n')
			at++;
	}
	return count;
}

__attribute__((used, noreturn)) static void begin(long *stack)
{
	static char *from_file[WORDS_MAX];
	int count = (int)stack[0] - 1;
	char **words = (char **)(stack + 2);

	environment = (char **)(stack + 1) + stack[0] + 1;
	if (count < 1 || same(words[0], "--help")) {
		say(1, help_text);
		leave(count < 1 ? 2 : 0);
	}
	if (count == 2 && same(words[0], "-f")) {
		count = read_words(words[1], from_file);
		words = from_file;
	}
	if (count >= WORDS_MAX)
		usage_error("more words than known takes, beginning with", words[0]);
	check(words, count);
	run(words, count);
	leave(0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\t"
	"call begin\n");
