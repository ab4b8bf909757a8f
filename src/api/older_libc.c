// What glibc 2.36 has and 2.35 lacks, so that the library loads on Ubuntu 22.04 too: the C++
// runtime of Debian 12, which is linked in, asks for it. Hidden in the library like all but pawl.h.
#include <stdint.h>
#include <sys/random.h>
#include <sys/types.h>

uint32_t arc4random(void);

uint32_t arc4random(void)
{
    uint32_t value = 0;
    // So few bytes come whole; only a signal before the kernel has any can interrupt.
    while (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value)) {
    }
    return value;
}
