// SPDX-License-Identifier: Apache-2.0
// Cancelling a thread unwinds its stack through our hooks, which let go of their blocks on the way. The
// compiler then wants two functions of libgcc_s; linking it would load that library into every program, so
// they are looked up when they are called: by then the C library, which unwinds with it, has loaded it.
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <unwind.h>

static void *
in_libgcc(const char *name)
{
    void *lib = dlopen("libgcc_s.so.1", RTLD_LAZY);

    return lib ? dlsym(lib, name) : NULL;
}

_Unwind_Reason_Code __gcc_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                         struct _Unwind_Exception *e, struct _Unwind_Context *c);

_Unwind_Reason_Code
__gcc_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                     struct _Unwind_Exception *e, struct _Unwind_Context *c)
{
    _Unwind_Personality_Fn f = (_Unwind_Personality_Fn)(uintptr_t)in_libgcc("__gcc_personality_v0");

    return f ? f(version, actions, kind, e, c) : _URC_CONTINUE_UNWIND;
}

void
_Unwind_Resume(struct _Unwind_Exception *e)
{
    void (*f)(struct _Unwind_Exception *) =
        (void (*)(struct _Unwind_Exception *))(uintptr_t)in_libgcc("_Unwind_Resume");

    for (;;)
        f(e); // does not return
}
