/* Preloaded, it shifts the wall clock of a process by $REDISTEST_CLOCK_OFFSET
 * nanoseconds. The monotonic clock runs on: a skewed server waits as long as
 * any other. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static long long offset;

__attribute__((constructor)) static void read_offset(void)
{
	const char *s = getenv("REDISTEST_CLOCK_OFFSET");
	if (s)
		offset = atoll(s);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int failed = (int)syscall(SYS_clock_gettime, id, ts);
	if (failed || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return failed;
	long long ns = ts->tv_nsec + offset % SECOND;
	ts->tv_sec += offset / SECOND;
	if (ns < 0) {
		ns += SECOND;
		ts->tv_sec--;
	} else if (ns >= SECOND) {
		ns -= SECOND;
		ts->tv_sec++;
	}
	ts->tv_nsec = ns;
	return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;
	(void)tz;
	if (clock_gettime(CLOCK_REALTIME, &ts))
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t)
{
	struct timespec ts;
	if (clock_gettime(CLOCK_REALTIME, &ts))
		return -1;
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}
