/*
 * A disk that fails, for tests: a library to be preloaded into a process (LD_PRELOAD; not into its children).
 *
 * It watches the files below FAULTY_DISK_FOLDER and keeps in FAULTY_DISK_STATE, on the same file system,
 *   journal   what every write and every change of a name replaced, and every sync: enough for power-cut.ts to take
 *             back what was not synced, as a power cut does,
 *   <number>  files and empty folders that were removed or replaced, so that they can come back,
 *   control   one line that the test writes when it likes: "<action> <call> <pattern> <n>". The n-th call from then on
 *             whose path matches the pattern (fnmatch) fails. Actions: `eio`, this call alone fails with EIO, and after
 *             a failed sync what it covered counts as lost; `full`, the same with ENOSPC; `dead`, this and all later
 *             ones fail; `die`, the process is killed before it. Calls: `write` (and truncate), `sync`, `name` (create, remove, rename).
 *   fired     written once that has happened: the path.
 * Each sync takes FAULTY_DISK_SYNC_MS longer and each write FAULTY_DISK_WRITE_US, on one disk: one after another.
 *
 * Shared memory (-shm) is not on any disk. Names hooked are those that Node, libuv and SQLite import on Linux.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define FDS 65536

/* The function that the process would call without this library. */
#define REAL(name)                                                              \
    ({                                                                          \
        static __typeof__(&name) found;                                         \
        if (!found) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);         \
        found;                                                                  \
    })

static char folder[PATH_MAX];
static char state[PATH_MAX - 32];
static size_t folder_length;
static unsigned sync_us;
static unsigned write_us;
static int journal = -1;
/* Bytes of the journal: the place of its next record. */
static uint64_t position;
static char watched[FDS];
/* Held from a record until what it describes is done. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Held by each call that takes its time. */
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

/* A record, followed by its name and its data; read by power-cut.ts. */
struct record {
    uint32_t kind, name_bytes, data_bytes, zero;
    uint64_t inode, a, b, c;
};

static void fail_hard(const char *what) {
    perror(what);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *of = getenv("FAULTY_DISK_FOLDER"), *in = getenv("FAULTY_DISK_STATE");
    if (!of || !in) return;
    const char *sync_ms = getenv("FAULTY_DISK_SYNC_MS"), *write_time = getenv("FAULTY_DISK_WRITE_US");
    sync_us = sync_ms ? 1000 * atoi(sync_ms) : 0;
    write_us = write_time ? atoi(write_time) : 0;
    snprintf(folder, sizeof folder, "%s", of);
    snprintf(state, sizeof state, "%s", in);
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/journal", state);
    journal = REAL(open64)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) fail_hard(path);
    position = lseek(journal, 0, SEEK_END);
    folder_length = strlen(folder);
    unsetenv("LD_PRELOAD");
}

static int is_within(const char *path) {
    if (folder_length == 0 || strncmp(path, folder, folder_length) != 0) return 0;
    if (path[folder_length] != '/' && path[folder_length] != '\0') return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static int is_watched(int fd) {
    return fd >= 0 && fd < FDS && watched[fd];
}

static void note(char kind, uint64_t inode, uint64_t a, uint64_t b, uint64_t c, const char *name,
                 size_t name_bytes, const void *data, size_t data_bytes) {
    struct record record = {kind, name_bytes, data_bytes, 0, inode, a, b, c};
    struct iovec parts[3] = {
        {&record, sizeof record}, {(void *)name, name_bytes}, {(void *)data, data_bytes}};
    ssize_t total = sizeof record + name_bytes + data_bytes;
    if (REAL(writev)(journal, parts, 3) != total) fail_hard("faulty disk: journal");
    position += total;
}

/* What the call that fails fails with. */
static int due_error = EIO;

/* Whether this call is the one that the test wants to fail. */
static int is_due(const char *call, const char *path) {
    static char last[512];
    static int count;
    char file[PATH_MAX + 16], text[512], action[16], wanted[16], pattern[256];
    int nth;
    snprintf(file, sizeof file, "%s/control", state);
    int fd = REAL(open64)(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    REAL(close)(fd);
    text[length < 0 ? 0 : length] = '\0';
    if (strcmp(text, last) != 0) count = 0;
    strcpy(last, text);
    if (sscanf(text, "%15s %15s %255s %d", action, wanted, pattern, &nth) != 4) return 0;
    if (strcmp(call, wanted) != 0 || fnmatch(pattern, path, 0) != 0) return 0;
    count += 1;
    if (count != nth) return count > nth && strcmp(action, "dead") == 0;
    snprintf(file, sizeof file, "%s/fired", state);
    fd = REAL(open64)(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || REAL(write)(fd, path, strlen(path)) < 0) fail_hard(file);
    REAL(close)(fd);
    if (strcmp(action, "die") == 0) kill(getpid(), SIGKILL);
    due_error = strcmp(action, "full") == 0 ? ENOSPC : EIO;
    return 1;
}

static int is_due_on(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return is_due(call, path);
}

/* Notes the pages that hold bytes `from` to `to` of a file, as they are now. */
static void note_pages(const char *path, const struct stat *file, uint64_t from, uint64_t to) {
    uint64_t start = from / PAGE_BYTES * PAGE_BYTES;
    uint64_t end = (to + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    uint64_t size = file->st_size, there = size < end ? size : end;
    size_t bytes = there > start ? there - start : 0, got = 0;
    char *before = malloc(bytes + 1);
    int fd = bytes > 0 ? REAL(open64)(path, O_RDONLY | O_CLOEXEC) : -1;
    while (got < bytes) {
        ssize_t read_now = pread(fd, before + got, bytes - got, start + got);
        if (read_now <= 0) fail_hard(path);
        got += read_now;
    }
    if (fd >= 0) REAL(close)(fd);
    note('W', file->st_ino, start, end, size, NULL, 0, before, bytes);
    free(before);
}

static void note_change(int fd, uint64_t from, uint64_t to) {
    char path[64];
    struct stat file;
    if (fstat(fd, &file) != 0) fail_hard("faulty disk: fstat");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    note_pages(path, &file, from, to);
}

/* ---- names ---- */

/* Inode of the folder that a path is in; `name` becomes the last part. */
static uint64_t folder_of(const char *path, const char **name) {
    char parent[PATH_MAX];
    struct stat found;
    *name = strrchr(path, '/') + 1;
    snprintf(parent, sizeof parent, "%.*s", (int)(*name - path - 1), path);
    return stat(parent, &found) == 0 ? found.st_ino : 0;
}

static void note_name(char kind, const char *path) {
    const char *name;
    uint64_t inode = folder_of(path, &name);
    note(kind, inode, position, 0, 0, name, strlen(name), NULL, 0);
}

/* Where what has this number in the journal is kept. */
static void kept_as(char *path, uint64_t number) {
    snprintf(path, PATH_MAX, "%s/%llu", state, (unsigned long long)number);
}

/* Begins a change of a name. 0: not ours; 1: ours, to be ended with `name_done`; -1: it fails. */
static int name_begins(const char *path) {
    if (!is_within(path)) return 0;
    pthread_mutex_lock(&lock);
    if (!is_due("name", path)) return 1;
    pthread_mutex_unlock(&lock);
    errno = due_error;
    return -1;
}

static int name_done(int result) {
    pthread_mutex_unlock(&lock);
    return result;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!is_within(path)) return REAL(open64)(path, flags, mode);
    struct stat file;
    int is_new = lstat(path, &file) != 0;
    if (is_new && (flags & O_CREAT)) {
        if (name_begins(path) < 0) return -1;
        note_name('C', path);
    } else {
        pthread_mutex_lock(&lock);
        if (!is_new && (flags & O_TRUNC) && file.st_size > 0) note_pages(path, &file, 0, file.st_size);
    }
    int fd = REAL(open64)(path, flags, mode);
    if (fd >= 0 && fd < FDS) watched[fd] = 1;
    return name_done(fd);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS) watched[fd] = 0;
    return REAL(close)(fd);
}

int mkdir(const char *path, mode_t mode) {
    struct stat found;
    if (!is_within(path) || lstat(path, &found) == 0) return REAL(mkdir)(path, mode);
    if (name_begins(path) < 0) return -1;
    note_name('C', path);
    return name_done(REAL(mkdir)(path, mode));
}

int link(const char *from, const char *to) {
    struct stat found;
    if (!is_within(to) || lstat(to, &found) == 0) return REAL(link)(from, to);
    if (name_begins(to) < 0) return -1;
    note_name('C', to);
    return name_done(REAL(link)(from, to));
}

/* Removed: moved out of sight, under the number of its record. */
static int remove_name(const char *path) {
    char kept[PATH_MAX];
    kept_as(kept, position);
    note_name('U', path);
    return REAL(rename)(path, kept);
}

int unlink(const char *path) {
    struct stat found;
    int is_file = lstat(path, &found) == 0 && !S_ISDIR(found.st_mode);
    int way = is_file ? name_begins(path) : 0;
    if (way <= 0) return way < 0 ? -1 : REAL(unlink)(path);
    return name_done(remove_name(path));
}

static int is_empty_folder(const char *path) {
    DIR *opened = opendir(path);
    int names = 0;
    if (!opened) return 0;
    while (readdir(opened)) names += 1;
    closedir(opened);
    return names == 2;
}

int rmdir(const char *path) {
    int way = is_within(path) && is_empty_folder(path) ? name_begins(path) : 0;
    if (way <= 0) return way < 0 ? -1 : REAL(rmdir)(path);
    return name_done(remove_name(path));
}

int rename(const char *from, const char *to) {
    int way = name_begins(to);
    if (way <= 0) return way < 0 ? -1 : REAL(rename)(from, to);
    const char *from_name, *to_name;
    uint64_t from_inode = folder_of(from, &from_name), to_inode = folder_of(to, &to_name);
    char kept[PATH_MAX], names[2 * NAME_MAX + 4];
    kept_as(kept, position);
    int is_replaced = REAL(link)(to, kept) == 0;
    int bytes = snprintf(names, sizeof names, "%s/%s", from_name, to_name);
    note('R', to_inode, position, from_inode, is_replaced, names, bytes, NULL, 0);
    return name_done(REAL(rename)(from, to));
}

/* ---- content ---- */

static void take_time(unsigned us) {
    if (us == 0) return;
    pthread_mutex_lock(&disk);
    usleep(us);
    pthread_mutex_unlock(&disk);
}

/* Begins a change of content. 0: not ours; 1: ours, to be ended with `write_done`; -1: it fails. */
static int write_begins(int fd, off_t at, size_t bytes) {
    if (!is_watched(fd)) return 0;
    take_time(write_us);
    pthread_mutex_lock(&lock);
    if (is_due_on("write", fd)) {
        pthread_mutex_unlock(&lock);
        errno = due_error;
        return -1;
    }
    if (at < 0) at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    note_change(fd, at, at + bytes);
    return 1;
}

static ssize_t write_done(int way, ssize_t result) {
    if (way == 1) pthread_mutex_unlock(&lock);
    return result;
}

static size_t bytes_of(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int k = 0; k < count; k++) bytes += parts[k].iov_len;
    return bytes;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    int way = write_begins(fd, -1, count);
    return way < 0 ? -1 : write_done(way, REAL(write)(fd, bytes, count));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    int way = write_begins(fd, at, count);
    return way < 0 ? -1 : write_done(way, REAL(pwrite64)(fd, bytes, count, at));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int way = write_begins(fd, -1, bytes_of(parts, count));
    return way < 0 ? -1 : write_done(way, REAL(writev)(fd, parts, count));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    int way = write_begins(fd, at, bytes_of(parts, count));
    return way < 0 ? -1 : write_done(way, REAL(pwritev64)(fd, parts, count, at));
}

int ftruncate64(int fd, off64_t length) {
    struct stat file;
    off64_t size = fstat(fd, &file) == 0 ? file.st_size : 0;
    off64_t from = size < length ? size : length;
    int way = write_begins(fd, from, size - from);
    return way < 0 ? -1 : write_done(way, REAL(ftruncate64)(fd, length));
}

static int sync_with(int (*call)(int), int fd) {
    if (!is_watched(fd)) return call(fd);
    struct stat file;
    if (fstat(fd, &file) != 0) return -1;
    pthread_mutex_lock(&lock);
    int is_failing = is_due_on("sync", fd), failure = due_error;
    uint64_t covered = position;
    pthread_mutex_unlock(&lock);
    take_time(sync_us);
    int result = is_failing ? -1 : call(fd);
    int error = is_failing ? failure : errno;
    pthread_mutex_lock(&lock);
    note(result == 0 ? 'S' : 'F', file.st_ino, covered, 0, 0, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fsync(int fd) {
    return sync_with(REAL(fsync), fd);
}

int fdatasync(int fd) {
    return sync_with(REAL(fdatasync), fd);
}
