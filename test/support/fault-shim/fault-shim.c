/*
 * A library for LD_PRELOAD that makes the disk and the clock of a process misbehave on command.
 *
 * It stands before the calls that change files and reads the rules from a control file, which
 * another process writes while this one runs. fault-shim.ts is that other side and knows the same
 * layout. Rules lie in two banks: the writer fills the one that is not in use and then counts
 * `rules_sequence` up, one byte, whose lowest bit names the bank in use. A reader looks at the
 * sequence again after it copied a rule. So nobody waits for anybody, and a bank is never half new.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef __GLIBC__
#error "the names of the calls are those of glibc"
#endif
_Static_assert(sizeof(off_t) == sizeof(off64_t), "the plain names stand for the same calls");

#define MAGIC "elfault1"
#define RULES_MAX 64
#define PATTERNS_MAX 4
#define PATTERN_BYTES 116
#define HOLD_LOOK_NS 1000000

enum call {
  CALL_WRITE = 1 << 0,
  CALL_FSYNC = 1 << 1,
  CALL_FDATASYNC = 1 << 2,
  CALL_CREATE = 1 << 3,
  CALL_RENAME = 1 << 4,
  CALL_UNLINK = 1 << 5,
  CALL_TRUNCATE = 1 << 6,
  CALL_MKDIR = 1 << 7,
};

enum end { END_NONE = 0, END_KILL_BEFORE = 1, END_KILL_AFTER = 2, END_HOLD = 3, END_LIE = 4 };

struct rule {
  uint32_t calls;
  uint32_t error;     /* an errno; the call is not made */
  uint32_t end;
  int32_t bytes;      /* a write takes at most so many; below 0: all but so many; 0: all */
  uint64_t delay_ns;  /* before the call */
  uint64_t after;     /* so many matches pass by */
  uint64_t times;     /* then so many are met */
  uint64_t matches;   /* counted here, read by the other side */
  char patterns[PATTERNS_MAX][PATTERN_BYTES];
};
_Static_assert(sizeof(struct rule) == 512, "fault-shim.ts writes 512 bytes a rule");

struct bank {
  uint32_t count;
  uint32_t unused;
  struct rule rules[RULES_MAX];
};

struct control {
  char magic[8];
  uint8_t rules_sequence;
  uint8_t clock_sequence;
  uint8_t unused[6];
  int64_t clock_offset_ns[2];
  struct bank banks[2];
};
_Static_assert(offsetof(struct control, banks) == 32, "fault-shim.ts puts the banks at 32");

/* What a call is about: a descriptor, or a path and perhaps a second one. */
struct target {
  int fd;
  const char *path;
  const char *other;
};

struct verdict {
  bool is_refused; /* with that error, or with 0 as if it had been made */
  int error;
  int64_t bytes;
  bool kill_after;
};

static struct control *control;

__attribute__((constructor)) static void open_control(void) {
  const char *path = getenv("EVENTLOGD_FAULTS");
  if (path == NULL) return;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  struct control *mapped =
      fd < 0 ? MAP_FAILED
             : mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED || memcmp(mapped->magic, MAGIC, sizeof mapped->magic) != 0) {
    dprintf(2, "fault-shim: %s is not a control file of this version\n", path);
    _exit(70);
  }
  syscall(SYS_close, fd);
  __atomic_store_n(&control, mapped, __ATOMIC_RELEASE);
}

/* The next function of that name, found at its first use: others' constructors may come before ours. */
static void *next(void **known, const char *name) {
  void *found = __atomic_load_n(known, __ATOMIC_RELAXED);
  if (found != NULL) return found;
  found = dlsym(RTLD_NEXT, name);
  __atomic_store_n(known, found, __ATOMIC_RELAXED);
  return found;
}

#define REAL(name)                                          \
  ({                                                        \
    static void *known;                                     \
    (__typeof__(&name))next(&known, #name);                 \
  })

static void pass_time(uint64_t ns) {
  struct timespec left = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

static void end_process(void) {
  for (;;) kill(getpid(), SIGKILL);
}

/* Makes a path absolute; one of a folder ends with a slash. */
static bool absolute(const char *path, bool folder, char out[PATH_MAX]) {
  char here[PATH_MAX] = "";
  if (path[0] != '/' && getcwd(here, sizeof here) == NULL) return false;
  int length = snprintf(out, PATH_MAX, "%s%s%s%s", here, here[0] == '\0' ? "" : "/", path,
                        folder ? "/" : "");
  return length > 0 && length < PATH_MAX;
}

/* The path behind a descriptor; false for sockets, pipes and the like. */
static bool path_of(int fd, char out[PATH_MAX]) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return false;
  path[length] = '\0';
  struct stat stat;
  return absolute(path, fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode), out);
}

static bool fits(const struct rule *rule, const char *path) {
  for (int i = 0; i < PATTERNS_MAX && rule->patterns[i][0] != '\0'; i += 1) {
    if (fnmatch(rule->patterns[i], path, 0) == 0) return true;
  }
  return false;
}

static bool is_about(const struct rule *rule, enum call call, const struct target *target) {
  char path[PATH_MAX];
  bool folder = call == CALL_MKDIR;
  if (target->path == NULL) return path_of(target->fd, path) && fits(rule, path);
  if (absolute(target->path, folder, path) && fits(rule, path)) return true;
  return target->other != NULL && absolute(target->other, folder, path) && fits(rule, path);
}

/* Whether this match is one that the rule meets; counts it. */
static bool is_met(struct rule *shared, const struct rule *rule) {
  uint64_t match = __atomic_fetch_add(&shared->matches, 1, __ATOMIC_RELAXED);
  return match >= rule->after && match - rule->after < rule->times;
}

static uint8_t rules_sequence(void) {
  return __atomic_load_n(&control->rules_sequence, __ATOMIC_ACQUIRE);
}

/* Walks the rules in their order. Waiting and killing happen here; the rest is the caller's. */
static struct verdict judge(enum call call, const struct target *target) {
  struct verdict verdict = {0};
  if (control == NULL) return verdict;
  int before = errno;
again:;
  verdict = (struct verdict){0};
  uint8_t sequence = rules_sequence();
  struct bank *bank = &control->banks[sequence & 1];
  for (uint32_t i = 0; i < bank->count && i < RULES_MAX; i += 1) {
    struct rule *shared = &bank->rules[i];
    if ((shared->calls & call) == 0) continue;
    struct rule rule = *shared;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (rules_sequence() != sequence) goto again;
    if (!is_about(&rule, call, target) || !is_met(shared, &rule)) continue;
    if (rule.delay_ns > 0) pass_time(rule.delay_ns);
    if (rule.end == END_KILL_BEFORE) end_process();
    if (rule.end == END_KILL_AFTER) verdict.kill_after = true;
    if (rule.end == END_HOLD) {
      while (rules_sequence() == sequence) pass_time(HOLD_LOOK_NS);
      goto again;
    }
    if (rule.bytes != 0 && verdict.bytes == 0) verdict.bytes = rule.bytes;
    if (verdict.is_refused || (rule.error == 0 && rule.end != END_LIE)) continue;
    verdict.is_refused = true;
    verdict.error = (int)rule.error;
  }
  errno = before;
  return verdict;
}

static struct verdict judge_fd(enum call call, int fd) {
  return judge(call, &(struct target){fd, NULL, NULL});
}

static struct verdict judge_path(enum call call, const char *path) {
  return judge(call, &(struct target){-1, path, NULL});
}

/* What the call returns instead of being made. */
static int refused(const struct verdict *verdict) {
  if (verdict->error == 0) return 0;
  errno = verdict->error;
  return -1;
}

/* What the call returned, if the process is to live on. */
static ssize_t made(const struct verdict *verdict, ssize_t result) {
  if (verdict->kill_after) end_process();
  return result;
}

/* How many bytes a write takes: at least one, for a write of nothing says nothing of a disk. */
static size_t taken(const struct verdict *verdict, size_t count) {
  if (verdict->bytes == 0 || count == 0) return count;
  int64_t most = verdict->bytes > 0 ? verdict->bytes : (int64_t)count + verdict->bytes;
  return most < 1 ? 1 : (size_t)most < count ? (size_t)most : count;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  struct verdict verdict = judge_fd(CALL_WRITE, fd);
  if (verdict.is_refused) return refused(&verdict);
  return made(&verdict, REAL(write)(fd, bytes, taken(&verdict, count)));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  struct verdict verdict = judge_fd(CALL_WRITE, fd);
  if (verdict.is_refused) return refused(&verdict);
  return made(&verdict, REAL(pwrite64)(fd, bytes, taken(&verdict, count), at));
}

/* A short vector takes no more than its first buffer. */
static int shorten(const struct verdict *verdict, const struct iovec **vector, int count,
                   struct iovec *first) {
  if (verdict->bytes == 0 || count == 0) return count;
  *first = (struct iovec){(*vector)->iov_base, taken(verdict, (*vector)->iov_len)};
  *vector = first;
  return 1;
}

ssize_t writev(int fd, const struct iovec *vector, int count) {
  struct verdict verdict = judge_fd(CALL_WRITE, fd);
  if (verdict.is_refused) return refused(&verdict);
  struct iovec first;
  int left = shorten(&verdict, &vector, count, &first);
  return made(&verdict, REAL(writev)(fd, vector, left));
}

ssize_t pwritev64(int fd, const struct iovec *vector, int count, off64_t at) {
  struct verdict verdict = judge_fd(CALL_WRITE, fd);
  if (verdict.is_refused) return refused(&verdict);
  struct iovec first;
  int left = shorten(&verdict, &vector, count, &first);
  return made(&verdict, REAL(pwritev64)(fd, vector, left, at));
}

int fsync(int fd) {
  struct verdict verdict = judge_fd(CALL_FSYNC, fd);
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(fsync)(fd));
}

int fdatasync(int fd) {
  struct verdict verdict = judge_fd(CALL_FDATASYNC, fd);
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(fdatasync)(fd));
}

int ftruncate64(int fd, off64_t length) {
  struct verdict verdict = judge_fd(CALL_TRUNCATE, fd);
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(ftruncate64)(fd, length));
}

int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (__OPEN_NEEDS_MODE(flags)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if ((flags & O_CREAT) == 0) return REAL(open64)(path, flags, mode);
  struct verdict verdict = judge_path(CALL_CREATE, path);
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(open64)(path, flags, mode));
}

int rename(const char *from, const char *to) {
  struct verdict verdict = judge(CALL_RENAME, &(struct target){-1, from, to});
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(rename)(from, to));
}

int unlink(const char *path) {
  struct verdict verdict = judge_path(CALL_UNLINK, path);
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(unlink)(path));
}

int mkdir(const char *path, mode_t mode) {
  struct verdict verdict = judge_path(CALL_MKDIR, path);
  if (verdict.is_refused) return refused(&verdict);
  return (int)made(&verdict, REAL(mkdir)(path, mode));
}

/* Node calls the names for large files; other programs may call the plain ones. */
ssize_t pwrite(int, const void *, size_t, off_t) __attribute__((alias("pwrite64")));
ssize_t pwritev(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev64")));
int ftruncate(int, off_t) __attribute__((alias("ftruncate64")));
int open(const char *, int, ...) __attribute__((alias("open64")));

static int64_t clock_offset_ns(void) {
  struct control *known = __atomic_load_n(&control, __ATOMIC_ACQUIRE);
  if (known == NULL) return 0;
  for (;;) {
    uint8_t sequence = __atomic_load_n(&known->clock_sequence, __ATOMIC_ACQUIRE);
    int64_t offset = known->clock_offset_ns[sequence & 1];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&known->clock_sequence, __ATOMIC_ACQUIRE) == sequence) return offset;
  }
}

static int64_t shifted_ns(const struct timespec *time) {
  return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + clock_offset_ns();
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = REAL(clock_gettime)(clock, time);
  if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
  int64_t now = shifted_ns(time);
  time->tv_sec = (time_t)(now / 1000000000);
  time->tv_nsec = (long)(now % 1000000000);
  return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  int result = REAL(gettimeofday)(time, zone);
  if (result != 0) return result;
  struct timespec seen = {time->tv_sec, time->tv_usec * 1000};
  int64_t now = shifted_ns(&seen);
  time->tv_sec = (time_t)(now / 1000000000);
  time->tv_usec = (suseconds_t)(now % 1000000000 / 1000);
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}
