// Capsule: owns an Arrow stream until somebody takes it over (the Arrow PyCapsule interface).
//
// The one thing that ctypes cannot do: a capsule's destructor may run while an exception is under
// way, when no Python code can. No extension module, so that one wheel fits every Python 3: what it
// needs of Python's stable interface is found in the process that loads it.
#include <stddef.h>

// Of the Arrow C stream interface.
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, void *);
    int (*get_next)(struct ArrowArrayStream *, void *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

// Of Python's stable interface; an object is only passed on.
extern void *PyCapsule_New(void *pointer, const char *name, void (*destructor)(void *capsule));
extern void *PyCapsule_GetPointer(void *capsule, const char *name);
extern void *PyMem_RawCalloc(size_t count, size_t size);
extern void PyMem_RawFree(void *pointer);
extern void *PyErr_NoMemory(void);

static const char capsule_name[] = "arrow_array_stream";

static void destroy(void *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, capsule_name);
    if (stream->release != NULL)
        stream->release(stream);
    PyMem_RawFree(stream);
}

// A capsule with an empty stream in it. NULL with an exception when memory runs out.
__attribute__((visibility("default"))) void *pawl_capsule_new(void)
{
    struct ArrowArrayStream *stream = PyMem_RawCalloc(1, sizeof(*stream));
    if (stream == NULL)
        return PyErr_NoMemory();
    void *capsule = PyCapsule_New(stream, capsule_name, destroy);
    if (capsule == NULL)
        PyMem_RawFree(stream);
    return capsule;
}
