// Feeds every file of a folder to a fuzzer's entry point: how `./dev test` runs what once broke
// something, without libFuzzer. A crash is a failed test.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 4096, INPUT_BYTES_MAX = 16 * 1024 * 1024 };

// In memory of exactly its size, so that the sanitizers see a byte too many.
static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 0;
    int ok = 0;
    uint8_t *bytes = NULL;
    long size = 0;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || size > INPUT_BYTES_MAX)
        goto done;
    rewind(file);
    bytes = malloc(size == 0 ? 1 : (size_t)size);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        goto done;
    ok = LLVMFuzzerTestOneInput(bytes, (size_t)size) == 0;
done:
    free(bytes);
    (void)fclose(file);
    return ok;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    int passed = 0;
    int failed = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[PATH_BYTES];
        if (entry->d_name[0] == '.' ||
            snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name) >= PATH_BYTES)
            continue;
        const int ok = replay(path);
        if (!ok)
            (void)printf("FAIL %s\n", path);
        passed += ok;
        failed += !ok;
    }
    (void)closedir(folder);
    (void)printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
