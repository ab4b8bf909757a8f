#include "world.h"

#include "change.h"
#include "mix.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORLD_ARENA_BYTES = 1024 * 1024 * 1024, ID_STEP = 10, ID_SPARE_DIGIT = 9 };
#define ID_ACCOUNT_STEP  INT64_C(1000000000)
#define ID_FIRST_ACCOUNT INT64_C(4)
#define US_PER_SECOND    INT64_C(1000000)

// A deletion that the world has in store for a call.
typedef struct Deletion {
    uint32_t index;
    int64_t at;
} Deletion;

// How the accounts differ; repeated when there are more. `modern` is the share of the planned time
// after which the account answers in the new generation of field names. Old numbers are written the
// American way, so only American accounts are old.
typedef struct Kind {
    const char *zone;
    Region region;
    double weight, modern;
} Kind;

static const Kind kinds[] = {
    {"America/New_York", REGION_US, 1.00, 0.6}, {"America/Los_Angeles", REGION_US, 0.80, 0},
    {"America/Chicago", REGION_US, 0.60, 9},    {"Europe/London", REGION_GB, 0.45, 0},
    {"Australia/Sydney", REGION_AU, 0.35, 0},   {"America/Phoenix", REGION_US, 0.30, 0.3},
    {"America/Halifax", REGION_US, 0.25, 0},    {"Asia/Kolkata", REGION_IN, 0.20, 0},
    {"Pacific/Honolulu", REGION_US, 0.15, 0.8}, {"America/St_Johns", REGION_US, 0.15, 0},
};

static const Kind *kind_of(uint32_t ordinal)
{
    return &kinds[ordinal % (sizeof(kinds) / sizeof(kinds[0]))];
}

static bool init_account(World *world, uint32_t ordinal, Error *err)
{
    const WorldPlan *plan = &world->plan;
    const Kind *kind = kind_of(ordinal);
    Account *account = &world->accounts[ordinal];
    *account = (Account){.id = WORLD_FIRST_ACCOUNT + ordinal,
                         .ordinal = ordinal,
                         .zone_name = kind->zone,
                         .seed = mix_pair(plan->seed, ordinal),
                         .forbidden_from = LIFE_NEVER};
    const Str company = world->words.companies.items[ordinal % world->words.companies.count];
    (void)snprintf(account->name, sizeof(account->name), STR_FMT, STR_ARG(company));

    TRY(zone_open(str_from(kind->zone), world->arena, &account->calendar.zone, err));
    const int64_t start = zone_start_of_date(account->calendar.zone, plan->from) / US_PER_SECOND;
    account->modern_from = start + (int64_t)(kind->modern * 86400 * (plan->to - plan->from));

    const RosterPlan roster = {account->id, kind->region, account->seed};
    return roster_init(&account->roster, &roster, &world->words, world->arena, err);
}

// Shares the calls out by weight; the first account takes what rounding leaves.
static uint32_t calls_of(const WorldPlan *plan, uint32_t ordinal)
{
    double total = 0;
    for (uint32_t i = 0; i < plan->accounts; i++)
        total += kind_of(i)->weight;
    uint32_t others = 0;
    for (uint32_t i = 1; i < plan->accounts; i++) {
        const uint32_t share = (uint32_t)(plan->calls * (kind_of(i)->weight / total));
        if (i == ordinal)
            return share;
        others += share;
    }
    return plan->calls - others;
}

static bool init_calendars(World *world, Error *err)
{
    const WorldPlan *plan = &world->plan;
    int64_t resume_at = INT64_MIN;
    for (uint32_t i = 0; i < plan->accounts; i++) {
        const int64_t end =
            zone_start_of_date(world->accounts[i].calendar.zone, plan->to) / US_PER_SECOND;
        resume_at = end > resume_at ? end : resume_at;
    }
    for (uint32_t i = 0; i < plan->accounts; i++) {
        Account *account = &world->accounts[i];
        const CalendarPlan calendar = {account->seed, plan->from, plan->to, calls_of(plan, i),
                                       resume_at};
        TRY(calendar_init(&account->calendar, account->calendar.zone, &calendar, world->arena,
                          err));
    }
    return world_set_now(world, plan->now == WORLD_NOW_DEFAULT ? resume_at : plan->now, err);
}

bool world_init(World *world, const WorldPlan *plan, Error *err)
{
    if (plan->accounts < 1 || plan->accounts > WORLD_ACCOUNTS_MAX)
        return error_set(err, ERROR_JOB, "world: %" PRIu32 " accounts; it can have 1 to %d",
                         plan->accounts, WORLD_ACCOUNTS_MAX);
    if (plan->from >= plan->to)
        return error_set(err, ERROR_JOB, "world: --from must lie before --to");

    *world = (World){.plan = *plan};
    world->arena = arena_new(WORLD_ARENA_BYTES, err);
    TRY(world->arena != NULL);
    (void)pthread_rwlock_init(&world->lock, NULL);
    TRY(words_init(&world->words, world->arena, err));
    world->accounts = arena_alloc_array(world->arena, plan->accounts, sizeof(Account), err);
    TRY(world->accounts != NULL);
    for (uint32_t i = 0; i < plan->accounts; i++)
        TRY(init_account(world, i, err));
    return init_calendars(world, err);
}

void world_done(World *world)
{
    if (world->arena == NULL)
        return;
    for (uint32_t i = 0; world->accounts != NULL && i < world->plan.accounts; i++) {
        Account *account = &world->accounts[i];
        change_free_all(account);
        buf_done(&account->deletions);
        buf_done(&account->gone);
        buf_done(&account->inserted);
    }
    (void)pthread_rwlock_destroy(&world->lock);
    arena_free(world->arena);
    *world = (World){0};
}

void world_read(World *world)
{
    (void)pthread_rwlock_rdlock(&world->lock);
}

void world_write(World *world)
{
    (void)pthread_rwlock_wrlock(&world->lock);
}

void world_unlock(World *world)
{
    (void)pthread_rwlock_unlock(&world->lock);
}

static uint64_t bits_of(const Account *account, uint32_t index)
{
    return mix_pair(account->seed, index);
}

static int64_t id_of(const Account *account, uint32_t index)
{
    const int64_t first = (ID_FIRST_ACCOUNT + account->ordinal) * ID_ACCOUNT_STEP;
    return first + (int64_t)index * ID_STEP + (int64_t)(bits_of(account, index) % ID_SPARE_DIGIT);
}

// Draws the fate of the calls that the clock has newly passed.
static bool scan_deletions(const World *world, Account *account, Error *err)
{
    size_t day = 0;
    for (; account->scanned < account->visible; account->scanned++) {
        const uint32_t index = account->scanned;
        const uint64_t bits = bits_of(account, index);
        if (life_deleted_at(bits, 0, &world->plan.rates) == LIFE_NEVER)
            continue;
        day = calendar_day_of(&account->calendar, index);
        const int64_t moment = calendar_moment(&account->calendar, day, index);
        const Deletion deletion = {index, life_deleted_at(bits, moment, &world->plan.rates)};
        TRY(buf_append(&account->deletions, (Str){(const char *)&deletion, sizeof(deletion)}, err));
    }
    return true;
}

static int compare_indexes(const void *a, const void *b)
{
    uint32_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

static bool add_gone(Account *account, uint32_t index, Error *err)
{
    return buf_append(&account->gone, (Str){(const char *)&index, sizeof(index)}, err);
}

static size_t gone_count(const Account *account)
{
    return account->gone.size / sizeof(uint32_t);
}

// Deletions made by hand, in between those of the world.
static bool add_gone_by_hand(Account *account, Error *err)
{
    const Change *changes = (const Change *)(const void *)account->changes.data;
    for (size_t i = 0; i < account->changes.size / sizeof(Change); i++) {
        Call call;
        if (changes[i].fate == CHANGE_FATE_DELETED && !changes[i].inserted &&
            world_find_any(account, changes[i].id, &call) && call.index < account->visible)
            TRY(add_gone(account, call.index, err));
    }
    if (gone_count(account) > 0)
        qsort(account->gone.data, gone_count(account), sizeof(uint32_t), compare_indexes);
    return true;
}

bool world_refresh(World *world, Account *account, Error *err)
{
    account->visible = calendar_count_before(&account->calendar, world->now + 1);
    TRY(scan_deletions(world, account, err));

    const Deletion *deletions = (const Deletion *)(const void *)account->deletions.data;
    const size_t count = account->deletions.size / sizeof(Deletion);
    buf_clear(&account->gone);
    for (size_t i = 0; i < count && deletions[i].index < account->visible; i++) {
        if (deletions[i].at > world->now)
            continue;
        const Change *change = change_find(account, id_of(account, deletions[i].index));
        if (change == NULL || change->fate == CHANGE_FATE_BORN)
            TRY(add_gone(account, deletions[i].index, err));
    }
    return account->changes.size == 0 || add_gone_by_hand(account, err);
}

bool world_set_now(World *world, int64_t now, Error *err)
{
    for (uint32_t i = 0; i < world->plan.accounts; i++)
        if (now >= calendar_end(&world->accounts[i].calendar))
            return error_set(err, ERROR_LIMIT,
                             "clock: the calendar of account %" PRIu32 " ends before",
                             world->accounts[i].id);
    world->now = now;
    for (uint32_t i = 0; i < world->plan.accounts; i++)
        TRY(world_refresh(world, &world->accounts[i], err));
    return true;
}

Account *world_account(World *world, int64_t id)
{
    if (id < WORLD_FIRST_ACCOUNT || id >= WORLD_FIRST_ACCOUNT + (int64_t)world->plan.accounts)
        return NULL;
    return &world->accounts[id - WORLD_FIRST_ACCOUNT];
}

static void fill_call(const Account *account, uint32_t index, size_t day, Call *call)
{
    *call = (Call){.account = account,
                   .bits = bits_of(account, index),
                   .index = index,
                   .id = id_of(account, index),
                   .moment = calendar_moment(&account->calendar, day, index),
                   .date = account->calendar.first_date + (int32_t)day};
    call->offset = calendar_offset(&account->calendar, day, call->moment);
    if (account->changes.size > 0)
        call->change = change_find(account, call->id);
}

static void fill_inserted(const Account *account, const Inserted *inserted, Call *call)
{
    const int64_t us = inserted->moment * US_PER_SECOND;
    *call = (Call){.account = account,
                   .change = change_find(account, inserted->id),
                   .bits = mix_pair(account->seed ^ UINT64_C(0x696e73), (uint64_t)inserted->id),
                   .index = UINT32_MAX,
                   .id = inserted->id,
                   .moment = inserted->moment,
                   .date = zone_date_at(account->calendar.zone, us),
                   .offset = zone_offset_at(account->calendar.zone, us)};
}

// Deleted calls among those below `index`.
static uint32_t gone_below(const Account *account, uint32_t index)
{
    const uint32_t *gone = (const uint32_t *)(const void *)account->gone.data;
    size_t low = 0, high = gone_count(account);
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (gone[middle] < index)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static bool is_gone(const Account *account, uint32_t index)
{
    return gone_below(account, index + 1) != gone_below(account, index);
}

static const Inserted *inserted_calls(const Account *account)
{
    return (const Inserted *)(const void *)account->inserted.data;
}

static uint32_t inserted_count(const Account *account)
{
    return (uint32_t)(account->inserted.size / sizeof(Inserted));
}

// Inserted calls that come before (moment, id).
static uint32_t inserted_below(const Account *account, int64_t moment, int64_t id)
{
    const Inserted *calls = inserted_calls(account);
    uint32_t low = 0, high = inserted_count(account);
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const Inserted *call = &calls[middle];
        if (call->moment < moment || (call->moment == moment && call->id < id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The base call that an inserted one is older than: it stands right before that one. At most
// `visible`.
static uint32_t base_of(const Account *account, uint32_t inserted)
{
    const uint32_t base =
        calendar_count_before(&account->calendar, inserted_calls(account)[inserted].moment + 1);
    return base < account->visible ? base : account->visible;
}

// Inserted calls that stand before base call `base` or any older one.
static uint32_t inserted_until(const Account *account, uint32_t base)
{
    uint32_t low = 0, high = inserted_count(account);
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (base_of(account, middle) <= base)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The first call of a local day, or of the days before and behind the calendar the nearest.
static uint32_t first_of_date(const Account *account, int32_t date)
{
    const Calendar *calendar = &account->calendar;
    if (date <= calendar->first_date)
        return 0;
    const size_t day = (size_t)(date - (int64_t)calendar->first_date);
    const uint32_t first =
        day >= calendar->day_count ? calendar_count(calendar) : calendar->days[day].first;
    return first < account->visible ? first : account->visible;
}

Selection world_select(const Account *account, int32_t from, int32_t to)
{
    const Zone *zone = account->calendar.zone;
    Selection selection = {
        .account = account, .high = account->visible, .inserted_high = inserted_count(account)};
    if (from != INT32_MIN) {
        selection.low = first_of_date(account, from);
        selection.inserted_low =
            inserted_below(account, zone_start_of_date(zone, from) / US_PER_SECOND, 0);
    }
    if (to != INT32_MAX) {
        selection.high = first_of_date(account, to + 1);
        selection.inserted_high =
            inserted_below(account, zone_start_of_date(zone, to + 1) / US_PER_SECOND, 0);
    }
    if (selection.high < selection.low)
        selection.high = selection.low;
    if (selection.inserted_high < selection.inserted_low)
        selection.inserted_high = selection.inserted_low;
    selection.total = selection_rank(&selection, (Spot){selection.low, selection.inserted_low});
    return selection;
}

uint32_t selection_rank(const Selection *selection, Spot spot)
{
    const Account *account = selection->account;
    return (selection->high - spot.base) -
           (gone_below(account, selection->high) - gone_below(account, spot.base)) +
           (selection->inserted_high - spot.inserted);
}

Spot selection_skip(const Selection *selection, uint32_t skip)
{
    const Account *account = selection->account;
    const Spot end = {selection->low, selection->inserted_low};
    if (skip >= selection->total)
        return end;
    // The lowest base whose newer calls, those inserted before it not counted, are not more than
    // `skip`.
    uint32_t low = selection->low, high = selection->high;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint32_t inserted =
            middle == selection->high ? selection->inserted_high : inserted_until(account, middle);
        const Spot spot = {middle, inserted < selection->inserted_high ? inserted
                                                                       : selection->inserted_high};
        if (selection_rank(selection, spot) <= skip)
            high = middle;
        else
            low = middle + 1;
    }
    uint32_t inserted =
        low == selection->high ? selection->inserted_high : inserted_until(account, low);
    if (inserted > selection->inserted_high)
        inserted = selection->inserted_high;
    const uint32_t left = skip - selection_rank(selection, (Spot){low, inserted});
    return (Spot){low, inserted - left};
}

bool selection_next(const Selection *selection, Spot *spot, Call *ret_call)
{
    const Account *account = selection->account;
    for (;;) {
        if (spot->inserted > selection->inserted_low &&
            (spot->base == selection->low || base_of(account, spot->inserted - 1) >= spot->base)) {
            spot->inserted--;
            fill_inserted(account, &inserted_calls(account)[spot->inserted], ret_call);
            return true;
        }
        if (spot->base == selection->low)
            return false;
        spot->base--;
        if (account->gone.size > 0 && is_gone(account, spot->base))
            continue;
        fill_call(account, spot->base, calendar_day_of(&account->calendar, spot->base), ret_call);
        return true;
    }
}

size_t selection_write_spot(const Selection *selection, Spot spot, char *at)
{
    // The inserted call behind the mark is named, not counted, since others may come in before it.
    Inserted mark = {0};
    if (spot.inserted < inserted_count(selection->account))
        mark = inserted_calls(selection->account)[spot.inserted];
    const uint64_t check = mix_pair(spot.base, (uint64_t)mark.id) & 0xffff;
    const int size =
        snprintf(at, SPOT_TEXT_BYTES, "%08" PRIx32 "%04" PRIx64 "%016" PRIx64 "%016" PRIx64,
                 spot.base, check, (uint64_t)mark.moment, (uint64_t)mark.id);
    return (size_t)size;
}

static bool read_hex(Str *text, size_t digits, uint64_t *ret_value)
{
    if (text->size < digits)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        const char c = text->data[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *text = str_slice(*text, digits, SIZE_MAX);
    *ret_value = value;
    return true;
}

bool selection_read_spot(const Selection *selection, Str text, Spot *ret_spot)
{
    uint64_t base, check, moment, id;
    if (!read_hex(&text, 8, &base) || !read_hex(&text, 4, &check) ||
        !read_hex(&text, 16, &moment) || !read_hex(&text, 16, &id) || text.size > 0 ||
        check != (mix_pair(base, id) & 0xffff))
        return false;

    // Calls inserted since, newer than this place, have been passed by.
    Spot spot = {(uint32_t)base, inserted_until(selection->account, (uint32_t)base)};
    const uint32_t mark = inserted_below(selection->account, (int64_t)moment, (int64_t)id);
    if (id != 0 && mark < spot.inserted)
        spot.inserted = mark;
    if (spot.base < selection->low)
        spot.base = selection->low;
    if (spot.base > selection->high)
        spot.base = selection->high;
    if (spot.inserted < selection->inserted_low)
        spot.inserted = selection->inserted_low;
    if (spot.inserted > selection->inserted_high)
        spot.inserted = selection->inserted_high;
    *ret_spot = spot;
    return true;
}

bool world_find_any(const Account *account, int64_t id, Call *ret_call)
{
    const Change *change = change_find(account, id);
    if (change != NULL && change->inserted) {
        fill_inserted(account, &(Inserted){id, change->moment}, ret_call);
        return true;
    }
    const int64_t index = (id - (ID_FIRST_ACCOUNT + account->ordinal) * ID_ACCOUNT_STEP) / ID_STEP;
    if (index < 0 || index >= calendar_count(&account->calendar) ||
        id_of(account, (uint32_t)index) != id)
        return false;
    fill_call(account, (uint32_t)index, calendar_day_of(&account->calendar, (uint32_t)index),
              ret_call);
    return true;
}

bool world_find(const Account *account, int64_t id, Call *ret_call)
{
    Call call;
    if (!world_find_any(account, id, &call))
        return false;
    if (call.change != NULL && call.change->inserted) {
        if (call.change->fate == CHANGE_FATE_DELETED)
            return false;
    } else if (call.index >= account->visible || is_gone(account, call.index)) {
        return false;
    }
    *ret_call = call;
    return true;
}
