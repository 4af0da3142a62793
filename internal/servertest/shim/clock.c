/* Preloaded, it shifts the wall clock of a process and of its children by the
 * nanoseconds in the file $SERVERTEST_CLOCK, which may change at any time. If the
 * second number in the file is not zero, the clock stands at that many nanoseconds since
 * 1970. The monotonic clock is unaffected, so a skewed server waits as long as any other. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A server with a C library of its own may have one from before 2.34, where dlsym had another version. */
#if defined __GLIBC__ && defined __x86_64__
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5\n.symver dlvsym,dlvsym@GLIBC_2.2.5");
#elif defined __GLIBC__ && defined __aarch64__
__asm__(".symver dlsym,dlsym@GLIBC_2.17\n.symver dlvsym,dlvsym@GLIBC_2.17");
#endif

#define SECOND 1000000000LL

static const long long none[2];
static const volatile long long *offset = none; /* and where the clock stands; shared with the test */

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static void *(*real_shmat)(int, const void *, int);
static int (*real_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void map_offset(void)
{
	const char *path = getenv("SERVERTEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED) {
		perror("servertest: $SERVERTEST_CLOCK");
		_exit(1);
	}
	offset = p;
	/* The C library's way reads the clock without a system call. */
	real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	real_shmat = dlsym(RTLD_NEXT, "shmat");
	/* On x86-64 there is an older condition variable of the same name. */
	real_timedwait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
	if (!real_timedwait)
		real_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
}

/* skew returns the offset of the clock at a time of the machine's clock. */
static long long skew(const struct timespec *real)
{
	long long still = offset[1];
	return still ? still - real->tv_sec * SECOND - real->tv_nsec : *offset;
}

static void shift(struct timespec *ts, long long by)
{
	long long ns = ts->tv_nsec + by % SECOND;
	ts->tv_sec += by / SECOND;
	if (ns < 0) {
		ns += SECOND;
		ts->tv_sec--;
	} else if (ns >= SECOND) {
		ns -= SECOND;
		ts->tv_sec++;
	}
	ts->tv_nsec = ns;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int failed = real_clock_gettime ? real_clock_gettime(id, ts) : (int)syscall(SYS_clock_gettime, id, ts);
	if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		shift(ts, skew(ts));
	return failed;
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

/* MariaDB waits until a time of its wall clock, which the kernel does not know.
 * The monotonic clock begins with the machine: it is far below. */
int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict until)
{
	struct timespec ts = *until, real;
	if (ts.tv_sec > 1000000000 && !real_clock_gettime(CLOCK_REALTIME, &real))
		shift(&ts, -skew(&real));
	if (ts.tv_sec < 0)
		return ETIMEDOUT;
	return real_timedwait(c, m, &ts);
}

/* A process that wants to hear of its parent's death dies of it. PostgreSQL's
 * would end only when they are idle, and never while they are stopped. */
int prctl(int option, ...)
{
	unsigned long a[4];
	va_list args;
	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_PDEATHSIG && a[0] != 0)
		a[0] = SIGKILL;
	return (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}

/* What a process shares goes with the last process that shares it. A killed
 * PostgreSQL would leave it behind. */
void *shmat(int id, const void *at, int flags)
{
	struct shmid_ds about;
	void *p = real_shmat(id, at, flags);
	if (p != (void *)-1 && !shmctl(id, IPC_STAT, &about) && about.shm_cpid == getpid())
		shmctl(id, IPC_RMID, NULL);
	return p;
}
