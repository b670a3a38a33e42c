/* The least that keeps what our handlers keep: each task in a process group of its own, its output
 * apart from the others', a line in a book when it begins and when it ends, made durable twenty
 * times a second; the longest way to the end first. Any engine is up against it.
 *
 * runner TASKS SLOTS FOLDER: a line a task, fields by tabs: seconds, numbers of the tasks it comes
 * after (by commas), and the words of its command.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct task {
    double seconds, rest;
    int open, followers, room, *follower;
    char *after, **words;
};
struct slot {
    int output, task;
    pid_t pid;
    double began;
};

static struct task *tasks;
static int count, ready_count, *ready, book, pack;
static long pack_end;
static atomic_int is_dirty;

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int open_in(const char *folder, const char *name, int number) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%d", folder, name, number);
    int found = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (found < 0) fail(path);
    return found;
}

static void read_tasks(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char *line = NULL;
    size_t size = 0;
    for (int room = 0; getline(&line, &size, file) > 0; count++) {
        if (count == room) tasks = realloc(tasks, (room = room ? 2 * room : 64) * sizeof *tasks);
        struct task *task = &tasks[count];
        memset(task, 0, sizeof *task);
        task->rest = -1;
        line[strcspn(line, "\n")] = 0;
        char *rest = strdup(line), *word;
        task->seconds = atof(strsep(&rest, "\t"));
        task->after = strsep(&rest, "\t");
        for (int words = 0; (word = strsep(&rest, "\t"));) {
            task->words = realloc(task->words, (words + 2) * sizeof word);
            task->words[words++] = word;
            task->words[words] = NULL;
        }
    }
    free(line);
    fclose(file);
    for (int i = 0; i < count; i++)
        for (char *name; (name = strsep(&tasks[i].after, ","));) {
            if (!*name) continue;
            struct task *before = &tasks[atoi(name)];
            if (before->followers == before->room)
                before->follower = realloc(before->follower, (before->room += 8) * sizeof(int));
            before->follower[before->followers++] = i;
            tasks[i].open++;
        }
}

static double rest_of(int i) {
    struct task *task = &tasks[i];
    if (task->rest < 0) {
        double longest = 0;
        for (int n = 0; n < task->followers; n++) {
            double rest = rest_of(task->follower[n]);
            if (rest > longest) longest = rest;
        }
        task->rest = longest + task->seconds;
    }
    return task->rest;
}

static int goes_first(int a, int b) {
    return tasks[a].rest != tasks[b].rest ? tasks[a].rest > tasks[b].rest : a < b;
}

static void push(int task) {
    int at = ready_count++;
    for (; at && goes_first(task, ready[(at - 1) / 2]); at = (at - 1) / 2)
        ready[at] = ready[(at - 1) / 2];
    ready[at] = task;
}

static int pop(void) {
    int first = ready[0], last = ready[--ready_count], at = 0;
    for (int child; (child = 2 * at + 1) < ready_count; at = child) {
        if (child + 1 < ready_count && goes_first(ready[child + 1], ready[child])) child++;
        if (!goes_first(ready[child], last)) break;
        ready[at] = ready[child];
    }
    ready[at] = last;
    return first;
}

static void *sync_forever(void *nothing) {
    for (;; usleep(50000))
        if (atomic_exchange(&is_dirty, 0)) fdatasync(book);
    return nothing;
}

static void note(const char *line, int length) {
    if (write(book, line, length) != length) fail("book");
    atomic_store(&is_dirty, 1);
}

static void start(struct slot *slot, int number, int nothing) {
    char line[128];
    struct task *task = &tasks[slot->task = pop()];
    slot->began = now();
    note(line, sprintf(line, "[\"b\",%d,%.3f,%d]\n", slot->task, slot->began, number));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t how;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, nothing, 0);
    posix_spawn_file_actions_adddup2(&actions, slot->output, 1);
    posix_spawn_file_actions_adddup2(&actions, slot->output, 2);
    posix_spawnattr_init(&how);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
    if (posix_spawnp(&slot->pid, task->words[0], &actions, &how, task->words, environ)) exit(2);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&how);
}

static void end(struct slot *slot) {
    char line[160], data[65536];
    int status;
    killpg(slot->pid, SIGKILL);
    waitpid(slot->pid, &status, 0);
    slot->pid = 0;
    long length = 0, got;
    for (; (got = pread(slot->output, data, sizeof data, length)) > 0; length += got)
        if (write(pack, data, got) != got) fail("pack");
    if (length && ftruncate(slot->output, 0)) fail("slot");
    note(line, sprintf(line, "[\"e\",%d,%.4f,%d,%ld,%ld]\n", slot->task, now() - slot->began,
                       status, pack_end, length));
    pack_end += length;
    if (status) exit(1);
    struct task *task = &tasks[slot->task];
    for (int n = 0; n < task->followers; n++)
        if (!--tasks[task->follower[n]].open) push(task->follower[n]);
}

int main(int words, char **word) {
    if (words != 4) return 2;
    read_tasks(word[1]);
    int slot_count = atoi(word[2]), running = 0, done = 0;
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct slot *slots = calloc(slot_count, sizeof *slots);
    for (int n = 0; n < slot_count; n++) slots[n].output = open_in(word[3], "slot", n);
    book = open_in(word[3], "book", 0);
    pack = open_in(word[3], "pack", 0);
    ready = calloc(count + 1, sizeof *ready);
    pthread_t syncing;
    if (pthread_create(&syncing, NULL, sync_forever, NULL)) return 2;
    for (int i = 0; i < count; i++) rest_of(i);
    for (int i = 0; i < count; i++)
        if (!tasks[i].open) push(i);
    while (done < count) {
        for (int n = 0; n < slot_count && ready_count; n++)
            if (!slots[n].pid) start(&slots[n], n, nothing), running++;
        siginfo_t ended;
        if (!running || waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT)) return 1;
        for (int n = 0; n < slot_count; n++)
            if (slots[n].pid == ended.si_pid) end(&slots[n]), running--, done++;
    }
    fdatasync(book);
    return 0;
}
