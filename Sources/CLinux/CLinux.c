#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int poiesis_openat2(int folder, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    /* The kernel refuses a mode where nothing can be made. */
    struct open_how how = {.flags = flags, .mode = flags & (O_CREAT | POIESIS_TMPFILE) ? mode : 0, .resolve = resolve};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

int poiesis_pipe(int ends[2], int no_block) { return pipe2(ends, O_CLOEXEC | (no_block ? O_NONBLOCK : 0)); }

int poiesis_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1); }

int poiesis_wait(struct poiesis_child *child, int no_hang) {
    int status = 0;
    struct rusage usage = {0};
    int pid = wait4(-1, &status, no_hang ? WNOHANG : 0, &usage);
    if (pid <= 0) return pid;
    child->pid = pid;
    child->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child->exit_code = child->signal ? 128 + child->signal : WEXITSTATUS(status);
    child->cpu_microseconds = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    child->peak_memory_bytes = usage.ru_maxrss * 1024LL;
    return pid;
}

int poiesis_spawn(int *pid, const char *path, char *const arguments[], char *const environment[], const char *folder,
                  int input, int output, int error) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    sigset_t all, none;
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_adddup2(&actions, input, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, error, 2);
    /* Connections that a library accepted without CLOEXEC would stay open as long as the program runs. */
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (folder) posix_spawn_file_actions_addchdir_np(&actions, folder);
    int result = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return result;
}

int poiesis_spawn_bound(int *pid, const char *path, char *const arguments[], int64_t user, int64_t group, const char *folder,
                        int output) {
    /* Made before the fork: nothing between it and the exec may allocate. */
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return errno;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        int code = errno;
        close(report[0]);
        close(report[1]);
        return code;
    }
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        setsid();
        /* As in poiesis_spawn; Linux 5.11. */
        syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
        int failed = (folder && chdir(folder) != 0) || (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0));
        if (!failed && user >= 0) failed = setgroups(0, NULL) != 0 || setgid((gid_t)group) != 0 || setuid((uid_t)user) != 0;
        /* After setuid, which clears it. */
        if (!failed) failed = prctl(PR_SET_PDEATHSIG, SIGINT) != 0;
        if (!failed && getppid() != parent) _exit(127);
        if (!failed) execv(path, arguments);
        int code = errno;
        ssize_t ignored = write(report[1], &code, sizeof code);
        (void)ignored;
        _exit(127);
    }
    close(report[1]);
    int code = 0;
    ssize_t count;
    do { count = read(report[0], &code, sizeof code); } while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count > 0) {
        waitpid(child, NULL, 0);
        return code;
    }
    *pid = child;
    return 0;
}
