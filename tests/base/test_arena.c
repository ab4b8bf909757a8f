#include "base/arena.h"

#include "harness/check.h"

#include <stdalign.h>

enum { LIMIT = 4 * 1024 * 1024 };

TEST(memory_is_zeroed_aligned_and_apart)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(LIMIT, &err);
    char *pieces[300];
    size_t used = 0;
    for (size_t i = 0; i < 300; i++) {
        const size_t size =
            i * 7 % 100 + (i == 150 ? 100000 : 0); // one larger than any block so far
        pieces[i] = arena_alloc(arena, size, &err);
        CHECK(pieces[i] != NULL);
        CHECK_INT((int64_t)((uintptr_t)pieces[i] % alignof(max_align_t)), 0);
        for (size_t k = 0; k < size; k++) {
            CHECK(pieces[i][k] == 0);
            pieces[i][k] = (char)i;
        }
        used += size;
    }
    CHECK_INT((int64_t)arena_used_bytes(arena), (int64_t)used);
    for (size_t i = 0; i < 300; i++)
        CHECK(i * 7 % 100 == 0 || pieces[i][0] == (char)i);
}

TEST(the_limit_holds_to_the_byte)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(100, &err);
    CHECK(arena_alloc(arena, 60, &err) != NULL);
    CHECK(arena_alloc(arena, 41, &err) == NULL);
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_STR(str_from(err.message), STR("arena: 41 bytes asked, 40 of 100 left"));
    CHECK(arena_alloc(arena, 40, &err) != NULL);
    CHECK(arena_alloc(arena, 1, &err) == NULL);
    CHECK(arena_alloc(arena, SIZE_MAX, &err) == NULL);
    CHECK(arena_alloc_array(arena, SIZE_MAX / 2, 3, &err) == NULL);
    CHECK_INT(err.code, ERROR_LIMIT);
    arena_reset(arena);
    CHECK(arena_alloc_array(arena, 10, 10, &err) != NULL);
}

// After one round of any shape, the same round again takes no memory from the system.
TEST(a_reset_arena_settles)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(LIMIT, &err);
    for (int round = 0; round < 4; round++) {
        fault_arm(round < 2 ? 0 : 1); // from the third round on, the first allocation would fail
        CHECK(arena_alloc(arena, 400 * 1024, &err) != NULL);
        for (int i = 0; i < 1000; i++)
            CHECK(arena_alloc(arena, 1000, &err) != NULL);
        CHECK(!fault_disarm());
        arena_reset(arena);
        CHECK_INT((int64_t)arena_used_bytes(arena), 0);
    }
}

TEST(memory_is_zeroed_after_a_reset)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(LIMIT, &err);
    for (int round = 0; round < 3; round++) {
        char *piece = arena_alloc(arena, 100, &err);
        CHECK(piece != NULL);
        for (int i = 0; i < 100; i++)
            CHECK(piece[i] == 0);
        memset(piece, 'x', 100);
        arena_reset(arena);
    }
}

TEST(pieces_are_resized)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(LIMIT, &err);
    char *piece = arena_alloc_raw(arena, 10, &err);
    CHECK(piece != NULL);
    memcpy(piece, "0123456789", 10);
    CHECK(arena_resize(arena, piece, 10, 1000, &err) == piece); // the last one grows in place
    CHECK_INT((int64_t)arena_used_bytes(arena), 1000);
    CHECK(arena_resize(arena, piece, 1000, 20, &err) == piece);
    CHECK_INT((int64_t)arena_used_bytes(arena), 20);
    CHECK(arena_alloc(arena, 1, &err) != NULL);
    CHECK(arena_resize(arena, piece, 20, 10, &err) == piece); // one in the middle keeps its place
    char *moved = arena_resize(arena, piece, 10, 30, &err);
    CHECK(moved != NULL && moved != piece);
    CHECK_STR(((Str){moved, 10}), STR("0123456789"));
    moved = arena_resize(arena, moved, 30, 1024 * 1024, &err); // does not fit into its block
    CHECK(moved != NULL);
    CHECK_STR(((Str){moved, 10}), STR("0123456789"));
    CHECK(arena_resize(arena, moved, 1024 * 1024, LIMIT, &err) == NULL);
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_STR(((Str){moved, 10}), STR("0123456789"));
}

TEST(text_is_copied_and_printed)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(LIMIT, &err);
    Str copy = {0};
    CHECK_OK(arena_copy_str(arena, STR("a\0b"), &copy, &err), &err);
    CHECK_STR(copy, STR("a\0b"));
    CHECK(copy.data[3] == '\0');
    CHECK_OK(arena_copy_str(arena, (Str){NULL, 0}, &copy, &err), &err);
    CHECK(copy.data != NULL && copy.size == 0);
    CHECK_OK(arena_printf(arena, &copy, &err, "%s-%03d", "x", 7), &err);
    CHECK_STR(copy, STR("x-007"));
    CHECK(copy.data[5] == '\0');
}

TEST(freeing_nothing_is_fine)
{
    arena_free(NULL);
    arena_wipe(NULL);
    Error err = {0};
    arena_free(arena_new(1, &err));
    Arena *arena = arena_new(LIMIT, &err);
    CHECK(arena_alloc(arena, 100000, &err) != NULL);
    CHECK(arena_alloc(arena, 10, &err) != NULL);
    arena_wipe(arena);
}

TEST(arenas_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(LIMIT, &err);
        Str copy = {0};
        void *piece = arena == NULL ? NULL : arena_alloc_raw(arena, 10000, &err);
        const bool ok = piece != NULL && arena_resize(arena, piece, 10000, 100000, &err) != NULL &&
                        arena_copy_str(arena, STR("0123456789"), &copy, &err) &&
                        arena_printf(arena, &copy, &err, "%0100000d", 1);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok || err.code == ERROR_LIMIT);
    }
}
