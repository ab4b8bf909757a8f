#include "duck/claim.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/stat.h>

static struct {
    pthread_mutex_t lock;
    Claim *first;
} claims = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool claim_take(Claim *claim, const char *path, Error *err)
{
    assert(claim->file == 0);
    struct stat file;
    if (stat(path, &file) != 0)
        return true;
    (void)pthread_mutex_lock(&claims.lock);
    const Claim *other = claims.first;
    while (other != NULL && (other->device != file.st_dev || other->file != file.st_ino))
        other = other->next;
    if (other == NULL) {
        *claim = (Claim){.next = claims.first, .device = file.st_dev, .file = file.st_ino};
        claims.first = claim;
    }
    (void)pthread_mutex_unlock(&claims.lock);
    return other == NULL || error_set(err, ERROR_BUSY, "duckdb: this process has %s open", path);
}

void claim_drop(Claim *claim)
{
    if (claim->file == 0)
        return;
    (void)pthread_mutex_lock(&claims.lock);
    Claim **place = &claims.first;
    while (*place != claim)
        place = &(*place)->next;
    *place = claim->next;
    (void)pthread_mutex_unlock(&claims.lock);
    *claim = (Claim){0};
}
