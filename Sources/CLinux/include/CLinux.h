/* Linux calls that Swift cannot reach: variadic functions, raw system calls and macros.
 * Plain types only: system headers included here would clash with Swift's own module of them. */
#ifndef POIESIS_CLINUX_H
#define POIESIS_CLINUX_H
#include <stdint.h>

/* Resolve flags of openat2(2). */
enum {
    /* open(2) flags that need _GNU_SOURCE; the second together with O_DIRECTORY. */
    POIESIS_O_PATH = 010000000,
    POIESIS_TMPFILE = 020000000,
    POIESIS_NO_MAGICLINKS = 0x02,
    POIESIS_NO_SYMLINKS = 0x04,
    POIESIS_BENEATH = 0x08,
    POIESIS_IN_ROOT = 0x10,
};

/* openat2(2). Returns a descriptor, or -1 and errno. */
int poiesis_openat2(int folder, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

/* A pipe that is closed on exec; pipe2(2). */
int poiesis_pipe(int ends[2], int no_block);

/* Orphaned grandchildren become children of this process; prctl(2). */
int poiesis_become_subreaper(void);

/* What wait4(2) tells of one child. */
struct poiesis_child {
    int pid;
    /* The exit code, or 128 plus the signal's number. */
    int exit_code;
    /* The signal that ended it, or 0. */
    int signal;
    /* Of the child and those it waited for. */
    int64_t cpu_microseconds;
    int64_t peak_memory_bytes;
};

/* Waits for any child, or with 1 returns at once if none has ended. Returns the child's pid, 0 if none has ended, or -1 and errno. */
int poiesis_wait(struct poiesis_child *child, int no_hang);

/* Starts a program by its path with a process group of its own, default signal handling and the given standard streams and folder.
 * Returns 0 or an error number. */
int poiesis_spawn(int *pid, const char *path, char *const arguments[], char *const environment[], const char *folder,
                  int input, int output, int error);

/* Starts a program that ends when the thread that started it ends, as another user if `user` is not negative. */
int poiesis_spawn_bound(int *pid, const char *path, char *const arguments[], int64_t user, int64_t group, const char *folder,
                        int output);
#endif
