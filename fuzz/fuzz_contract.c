// links: pawl_contract
//
// Whatever is no contract is findings or an error; whatever is one shapes a record, and can be
// added to.
#include "contract/plan.h"
#include "contract/promote.h"

#include <stdlib.h>

enum { RUN_BYTES = 256 * 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void shape(const Contract *contract, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CLEANUP(shaper_freep) Shaper *shaper = NULL;
    CLEANUP(shaped_batch_freep) ShapedBatch *batch = NULL;
    must(json_parse(
        STR("{\"id\":1,\"a\":{\"b\":\"2025-05-01\",\"c\":[1.5]},\"b\":\"x\",\"c\":null}"), "record",
        arena, &doc, &err));
    yyjson_val *record = yyjson_doc_get_root(doc);
    must(shaper_new(contract, NULL, &shaper, &err));
    must(shaper_add(shaper, &record, 1, NULL, 1, &err) || err.code == ERROR_DATA);
    must(shaper_take(shaper, &batch, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    const Str text = {(const char *)data, size};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf promoted = {0};
    must(arena != NULL);
    Contract *contract = NULL;
    Findings findings = {.arena = arena};
    if (!contract_read(text, "fuzz", arena, &findings, &contract, &err) || findings.count > 0)
        return 0;
    shape(contract, arena);
    const Promotion promotion = {.path = STR("/fuzz/ed"), .name = STR("promoted_by_fuzz")};
    Str name = {0};
    // Refused only where the contract has the path or the name, or has no room for another column.
    if (!contract_promote(text, &promotion, arena, &promoted, &name, &err))
        must(err.code == ERROR_JOB || err.code == ERROR_LIMIT);
    return 0;
}
