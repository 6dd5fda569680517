/*-------------------------------------------------------------------------
 *
 * multi.c
 *	  The transfers of this process, and waiting for them.
 *
 * libcurl's multi handle has the transfers and the pool of connections that
 * are kept alive between them.  It never waits itself: it tells by callbacks
 * which sockets it waits for, and for how long, and is called when something
 * has happened.  We wait for the sockets, the process's latch and the end of
 * the postmaster in one WaitEventSet.  That cannot lose a socket once it has
 * it, so it is made anew when sockets have come or gone; a transfer does that
 * once or twice.
 *
 * There is one clock for what must not take too long: the time that has been
 * spent waiting here.  A process that decodes for a minute before it looks
 * after its transfers again has not had a minute without an answer.
 *
 * libcurl resolves names in a thread.  It inherits the signal mask, so all
 * signals are blocked while libcurl is called: PostgreSQL's handlers run in
 * the one thread that they are made for.
 *
 * Failure: no callback raises an error, so no longjmp crosses libcurl.  An
 * error between two calls leaves the transfers where they are.  The multi
 * handle is made on first use, so never in the postmaster, and no child
 * inherits sockets; it goes when the process ends.
 *
 * Memory: libcurl's own, by malloc; sockets are in a fixed array.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>

#include "base/compat.h"
#include "portability/instr_time.h"
#include "s3/multi.h"
#include "storage/ipc.h"
#include "storage/latch.h"

/*
 * A transfer has a socket, two while it tries addresses of both families, and
 * one to hear from the thread that resolves names.
 */
#define MAX_SOCKETS (4 * STH_MULTI_MAX)

/* What is kept alive when nothing is on its way. */
#define MAX_IDLE_CONNECTIONS STH_MULTI_MAX

typedef struct Socket
{
	curl_socket_t fd;
	uint32		events;			/* WL_SOCKET_... */
} Socket;

static CURLM *multi = NULL;

static Socket sockets[MAX_SOCKETS];
static int	nsockets = 0;

/* When libcurl wants to be called whatever happens, in us; -1: it does not. */
static int64 timer_due = -1;

/* The set, and what it was made for. */
static WaitEventSet *wait_set = NULL;
static bool set_is_stale = true;
static Latch *latch_in_set = NULL;

/* How long has been waited since the process began, in us. */
static int64 waited = 0;

/* Of a clock that only goes forward, in microseconds. */
int64
sth_multi_now(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* How long this process has waited for its transfers, in microseconds. */
int64
sth_multi_waited(void)
{
	return waited;
}

/* libcurl's callback: what it waits for at a socket has changed. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	uint32		events = 0;
	int			i;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_WRITEABLE;
	for (i = 0; i < nsockets; i++)
		if (sockets[i].fd == fd)
			break;
	if (i < nsockets && sockets[i].events == events)
		return 0;
	set_is_stale = true;
	if (events == 0)
	{
		if (i < nsockets)
			sockets[i] = sockets[--nsockets];
		return 0;
	}
	if (i == MAX_SOCKETS)
		return -1;
	sockets[i].fd = fd;
	sockets[i].events = events;
	if (i == nsockets)
		nsockets++;
	return 0;
}

/* libcurl's callback: when it wants to be called at the latest. */
static int
on_timer(CURLM *from, long timeout_ms, void *arg)
{
	timer_due = timeout_ms < 0 ? -1 :
		sth_multi_now() + (int64) timeout_ms * 1000;
	return 0;
}

/* For once a process; libcurl counts, so others may use it as well. */
CURLcode
sth_multi_start_curl(void)
{
	static bool started = false;
	CURLcode	code = CURLE_OK;

	if (!started)
		code = curl_global_init(CURL_GLOBAL_DEFAULT);
	started = code == CURLE_OK;
	return code;
}

static bool
open_multi(void)
{
	if (multi != NULL)
		return true;
	if (sth_multi_start_curl() != CURLE_OK)
		return false;
	multi = curl_multi_init();
	if (multi == NULL)
		return false;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) MAX_IDLE_CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING);
	return true;
}

static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	sigprocmask(SIG_SETMASK, saved, NULL);
}

/* Lets libcurl do what can be done without waiting. */
static void
run(curl_socket_t fd, int happened)
{
	sigset_t	saved;
	int			running;

	block_signals(&saved);
	(void) curl_multi_socket_action(multi, fd, happened, &running);
	restore_signals(&saved);
}

/*
 * Sends off a transfer: over a connection that is open its request leaves
 * now, though nobody waits for the answer yet.  False if there is no memory.
 */
bool
sth_multi_add(CURL *easy)
{
	sigset_t	saved;
	bool		added;

	if (!open_multi())
		return false;
	block_signals(&saved);
	added = curl_multi_add_handle(multi, easy) == CURLM_OK;
	restore_signals(&saved);
	if (added)
		run(CURL_SOCKET_TIMEOUT, 0);
	return added;
}

/* Takes a transfer out, finished or not. */
void
sth_multi_remove(CURL *easy)
{
	sigset_t	saved;

	block_signals(&saved);
	curl_multi_remove_handle(multi, easy);
	restore_signals(&saved);
}

/* Takes out one that has ended, and how. */
bool
sth_multi_next_done(CURL **easy, CURLcode *code)
{
	CURLMsg    *message;
	int			left;

	if (multi == NULL)
		return false;
	while ((message = curl_multi_info_read(multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE)
		{
			*easy = message->easy_handle;
			*code = message->data.result;
			sth_multi_remove(*easy);
			return true;
		}
	return false;
}

/* Makes the set fit the sockets. */
static void
prepare_set(void)
{
	if (!set_is_stale && latch_in_set == MyLatch)
		return;
	if (wait_set != NULL)
	{
		WaitEventSet *old = wait_set;

		wait_set = NULL;
		FreeWaitEventSet(old);
	}
	wait_set = sth_create_wait_event_set(nsockets + 2);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < nsockets; i++)
		AddWaitEventToSet(wait_set, sockets[i].events, sockets[i].fd, NULL, NULL);
	latch_in_set = MyLatch;
	set_is_stale = false;
}

/*
 * What has happened at the sockets, without waiting.  A latch that is set
 * hides them in a WaitEventSet, and its owner may have reasons not to reset it
 * yet.
 */
static void
run_ready_sockets(void)
{
	struct pollfd fds[MAX_SOCKETS];
	int			n = nsockets;

	for (int i = 0; i < n; i++)
	{
		fds[i].fd = sockets[i].fd;
		fds[i].events =
			((sockets[i].events & WL_SOCKET_READABLE) ? POLLIN : 0) |
			((sockets[i].events & WL_SOCKET_WRITEABLE) ? POLLOUT : 0);
		fds[i].revents = 0;
	}
	if (n <= 0 || poll(fds, n, 0) <= 0)
		return;
	for (int i = 0; i < n; i++)
		if (fds[i].revents != 0)
			run(fds[i].fd,
				((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) ? CURL_CSELECT_IN : 0) |
				((fds[i].revents & (POLLOUT | POLLERR)) ? CURL_CSELECT_OUT : 0));
}

/* The time to wait, in ms as WaitEventSetWait wants it. */
static long
shorten(int64 timeout)
{
	int64		ms = timeout < 0 ? -1 : (timeout + 999) / 1000;

	if (timer_due >= 0)
	{
		int64		left = (timer_due - sth_multi_now() + 999) / 1000;

		left = Max(left, 0);
		ms = ms < 0 ? left : Min(ms, left);
	}
	return (long) Min(ms, INT_MAX);
}

/*
 * Waits until something has happened at a socket, the latch is set, libcurl's
 * or the caller's time (in us, -1: any) is over, and lets libcurl work.
 * Returns WL_LATCH_SET or 0.  Exits if the postmaster is dead.
 */
int
sth_multi_wait(int64 timeout, uint32 wait_event)
{
	WaitEvent	events[16];
	int64		began = sth_multi_now();
	int			result = 0;
	int			n;

	prepare_set();
	n = WaitEventSetWait(wait_set, shorten(timeout), events, lengthof(events),
						 wait_event);
	waited += sth_multi_now() - began;
	for (int i = 0; i < n; i++)
		if (events[i].events & WL_LATCH_SET)
			result = WL_LATCH_SET;
		else
			run(events[i].fd,
				((events[i].events & WL_SOCKET_READABLE) ? CURL_CSELECT_IN : 0) |
				((events[i].events & WL_SOCKET_WRITEABLE) ? CURL_CSELECT_OUT : 0));
	if (result != 0)
		run_ready_sockets();
	if (timer_due >= 0 && timer_due <= sth_multi_now())
	{
		timer_due = -1;
		run(CURL_SOCKET_TIMEOUT, 0);
	}
	return result;
}

/* At the end of the process, when all transfers are out. */
void
sth_multi_close(void)
{
	sigset_t	saved;

	if (multi == NULL)
		return;
	block_signals(&saved);
	curl_multi_cleanup(multi);
	restore_signals(&saved);
	multi = NULL;
	nsockets = 0;
	set_is_stale = true;
}
