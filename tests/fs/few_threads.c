// SPDX-License-Identifier: Apache-2.0
// Preloaded: the process gets FEW_THREADS threads, and EAGAIN for each further one, as where a limit of tasks
// is reached.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    static _Atomic int made;
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    const char *few = getenv("FEW_THREADS");

    if (few && made++ >= atoi(few))
        return EAGAIN;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attr, fn, arg);
}
