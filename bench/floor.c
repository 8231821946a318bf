/* The floor under the daemon's figures, and the instruments that measure both alike.
 *
 *   hold FILE RIGHT          whenever FILE changes: read it; if it is not RIGHT's bytes, write those
 *                            to a temporary file, sync it, rename it over FILE. It parses nothing
 *                            and owns nothing: no program that corrects a file does less.
 *   drift FILE WRONG NEEDLE COUNT PAUSE_US
 *                            COUNT times: rename a copy of WRONG over FILE and wait (inotify) until
 *                            FILE holds NEEDLE again. Prints nanoseconds, from just before the
 *                            rename to the moment that the right file was read; -1 after 5 s,
 *                            and that is the end. The
 *                            wake-up of this observer is in the figure, the same for all.
 *   read FILE NEEDLE         open, read and close FILE in a loop until SIGTERM; prints how often, and
 *                            how often it did not hold NEEDLE.
 *   write FILE RATE SECONDS how
 *                            write FILE at RATE a second: `in-place`, by `rename` over it, or
 *                            `create` a new file beside it each time.
 *
 * Every mode says "ready" on standard error when it has begun. It ends with 1 where it cannot go on.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST (1 << 20)

static char buffer[MOST + 1];
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

/* The whole file into `buffer`; its length, or -1 where there is none. */
static ssize_t read_whole(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    ssize_t length = 0, got;
    while ((got = read(file, buffer + length, MOST - length)) > 0)
        length += got;
    close(file);
    buffer[length] = 0;
    return length;
}

static void write_new(const char *path, const char *content, size_t length, int synced)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, content, length) != (ssize_t)length)
        die(path);
    if (synced && fsync(file) < 0)
        die("fsync");
    close(file);
}

static char *beside(const char *path, const char *suffix)
{
    char *other;
    if (asprintf(&other, "%s%s", path, suffix) < 0)
        die("asprintf");
    return other;
}

static void correct(const char *path, const char *temporary, const char *right, size_t length)
{
    ssize_t have = read_whole(path);
    if (have == (ssize_t)length && !memcmp(buffer, right, length))
        return;
    write_new(temporary, right, length, 1);
    if (rename(temporary, path) < 0)
        die("rename");
}

static int hold(const char *path, const char *model)
{
    ssize_t length = read_whole(model);
    if (length < 0)
        die(model);
    char *right = malloc(length), *temporary = beside(path, ".floor");
    memcpy(right, buffer, length);
    char *directory = dirname(strdup(path)), *name = basename(strdup(path));
    int queue = inotify_init1(IN_CLOEXEC);
    if (queue < 0 || inotify_add_watch(queue, directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0)
        die(directory);
    correct(path, temporary, right, length);
    fputs("ready\n", stderr);
    char events[65536] __attribute__((aligned(8)));
    ssize_t got;
    while ((got = read(queue, events, sizeof events)) > 0) {
        int ours = 0;
        for (char *at = events; at < events + got;) {
            struct inotify_event *event = (struct inotify_event *)at;
            ours |= event->len && !strcmp(event->name, name);
            at += sizeof *event + event->len;
        }
        if (ours)
            correct(path, temporary, right, length);
    }
    return 0;
}

static void sleep_until_ns(long long at)
{
    struct timespec when = {at / 1000000000LL, at % 1000000000LL};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

/* Wait for the next change in the watched directory; 0 after 5 s. */
static int changed(int queue)
{
    char events[65536] __attribute__((aligned(8)));
    struct pollfd wait = {queue, POLLIN, 0};
    return poll(&wait, 1, 5000) > 0 && read(queue, events, sizeof events) > 0;
}

static int changed_already(int queue)
{
    char events[65536] __attribute__((aligned(8)));
    return read(queue, events, sizeof events) > 0;
}

static int drift(const char *path, const char *wrong, const char *needle, int count, long pause_us)
{
    ssize_t length = read_whole(wrong);
    if (length < 0)
        die(wrong);
    char *content = malloc(length), *temporary = beside(path, ".drift");
    memcpy(content, buffer, length);
    int queue = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (queue < 0 || inotify_add_watch(queue, dirname(strdup(path)), IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        die(path);
    fputs("ready\n", stderr);
    unsigned long random = 1;
    for (int turn = 0; turn < count && !stopped; turn++) {
        write_new(temporary, content, length, 0);
        long long before = now_ns(), took = -1;
        if (rename(temporary, path) < 0)
            die("rename");
        while (took < 0 && changed(queue))
            if (read_whole(path) >= 0 && strstr(buffer, needle))
                took = now_ns() - before;
        printf("%lld\n", took);
        if (took < 0)
            return 1;
        /* Not in step with anything: half the pause, and up to as much again. */
        random = random * 6364136223846793005UL + 1442695040888963407UL;
        sleep_until_ns(now_ns() + pause_us * 500LL + (long long)(random >> 33) % (pause_us * 1000LL));
        while (changed_already(queue))
            ;
    }
    return 0;
}

static int reader(const char *path, const char *needle)
{
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_OTHER, &none); /* it never sleeps: at real time it would starve all */
    long long reads = 0, wrong = 0;
    fputs("ready\n", stderr);
    while (!stopped) {
        reads++;
        wrong += read_whole(path) < 0 || !strstr(buffer, needle);
    }
    printf("%lld %lld\n", reads, wrong);
    return 0;
}

static int writer(const char *path, int rate, double seconds, const char *how)
{
    char *temporary = beside(path, ".new");
    int in_place = !strcmp(how, "in-place");
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        die(path);
    fputs("ready\n", stderr);
    long long begun = now_ns(), count = (long long)(rate * seconds);
    for (long long turn = 0; turn < count && !stopped; turn++) {
        if (in_place) {
            if (pwrite(file, &turn, sizeof turn, 0) < 0)
                die("pwrite");
        } else if (!strcmp(how, "create")) {
            char name[4096];
            snprintf(name, sizeof name, "%s.%lld", path, turn);
            write_new(name, "{}", 2, 0);
        } else {
            write_new(temporary, "{}", 2, 0);
            if (rename(temporary, path) < 0)
                die("rename");
        }
        sleep_until_ns(begun + (turn + 1) * 1000000000LL / rate);
    }
    return 0;
}

int main(int count, char **words)
{
    const char *mode = count > 1 ? words[1] : "";
    if (!strcmp(mode, "hold") && count == 4)
        return hold(words[2], words[3]);
    signal(SIGTERM, stop); /* the others have something to say first */
    if (!strcmp(mode, "drift") && count == 7)
        return drift(words[2], words[3], words[4], atoi(words[5]), atol(words[6]));
    if (!strcmp(mode, "read") && count == 4)
        return reader(words[2], words[3]);
    if (!strcmp(mode, "write") && count == 6)
        return writer(words[2], atoi(words[3]), atof(words[4]), words[5]);
    fputs("see the comment at the top of floor.c\n", stderr);
    return 64;
}
