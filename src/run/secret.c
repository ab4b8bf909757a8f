#include "run/secret.h"

#include "azure/key_vault.h"
#include "base/file.h"

#include <string.h>

enum { DEPTH_MAX = 32, NAME_BYTES_MAX = 256 };

// What one walk over the job needs at every level.
typedef struct Resolver {
    Str place;
    Str folder;
    const SecretNotes *notes;
    Env *env;
    Arena *arena;
    Findings *findings;
    Buf *value;         // the copy with secrets
    Buf *shown;         // the copy for people
    bool replaced;      // the string in hand held a reference
    Identity *identity; // made for the first secret that a vault keeps
    VaultSecrets *vaults;
} Resolver;

static bool read_variable(Resolver *resolver, Str name, Str pointer, Str *ret_text, Error *err)
{
    char text[NAME_BYTES_MAX];
    if (name.size >= sizeof(text))
        return error_set(err, ERROR_JOB, "variable name longer than %d bytes", NAME_BYTES_MAX);
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    const char *value = resolver->env->variable(resolver->env->state, text);
    if (value == NULL) {
        findings_addf(resolver->findings, pointer, STR("set it, for instance: export NAME=..."),
                      "environment variable %s is not set", text);
        *ret_text = STR("");
        return true;
    }
    *ret_text = str_from(value);
    return true;
}

static bool read_secret_file(Resolver *resolver, Str name, Str pointer, Str *ret_text, Error *err)
{
    Str path = {0};
    TRY(file_join(resolver->arena, resolver->folder, name, &path, err));
    Error problem = {0};
    if (!file_read(path.data, SECRET_FILE_BYTES_MAX, resolver->arena, ret_text, &problem)) {
        findings_addf(resolver->findings, pointer, STR("create it, readable by you only"), "%s",
                      problem.message);
        *ret_text = STR("");
    }
    return true;
}

// Asks the vault. What stands in the way is the job's or the vault's fault, and told as a finding.
static bool ask_vault(Resolver *resolver, Str reference, Str *ret_text, Error *err)
{
    KeyVaultSecret secret = {0};
    TRY(key_vault_parse(reference, resolver->arena, &secret, err));
    const IdentityOptions options = {.kind = IDENTITY_DEFAULT};
    if (resolver->identity == NULL)
        TRY(identity_open(&options, resolver->env, &resolver->identity, err));
    return key_vault_get(&secret, resolver->identity, resolver->env, resolver->arena, ret_text,
                         err);
}

static bool read_vault_secret(Resolver *resolver, Str reference, Str pointer, Str *ret_text,
                              Error *err)
{
    VaultSecrets *vaults = resolver->vaults;
    for (size_t i = 0; i < vaults->count; i++) {
        *ret_text = vaults->items[i].value;
        if (str_equal(vaults->items[i].reference, reference))
            return true;
    }
    *ret_text = STR("");
    if (vaults->count == VAULT_SECRETS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ": more than %d secrets of key vaults",
                         STR_ARG(pointer), VAULT_SECRETS_MAX);
    Error problem = {0};
    if (!ask_vault(resolver, reference, ret_text, &problem)) {
        if (problem.code == ERROR_STOPPED) {
            *err = problem;
            return false;
        }
        findings_addf(resolver->findings, pointer,
                      STR("see docs/adls.md for ${keyvault:VAULT/NAME} and its rights"), "%s",
                      problem.message);
    }
    // What was not given is not asked for again either.
    vaults->items[vaults->count].reference = reference;
    vaults->items[vaults->count++].value = *ret_text;
    return true;
}

static bool read_reference(Resolver *resolver, Str reference, Str pointer, Str *ret_text,
                           Error *err)
{
    if (resolver->notes != NULL) {
        *ret_text = SECRET_PLACEHOLDER;
        return resolver->notes->note(resolver->notes->state, reference, err);
    }
    if (str_starts_with(reference, STR("env:")))
        return read_variable(resolver, str_slice(reference, 4, reference.size), pointer, ret_text,
                             err);
    if (str_starts_with(reference, STR("file:")))
        return read_secret_file(resolver, str_slice(reference, 5, reference.size), pointer,
                                ret_text, err);
    if (str_starts_with(reference, STR("keyvault:")))
        return read_vault_secret(resolver, str_slice(reference, 9, reference.size), pointer,
                                 ret_text, err);
    findings_addf(resolver->findings, pointer,
                  STR("write ${env:NAME}, ${file:PATH} or ${keyvault:VAULT/NAME}"),
                  "unknown reference ${" STR_FMT "}", STR_ARG(reference));
    *ret_text = STR("");
    return true;
}

// Editors end files with one, `az keyvault secret set --file` takes it along, and a secret scope
// hands it on in the environment. Blanks may be part of a secret.
static Str without_line_end(Str text)
{
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    return text;
}

static bool resolve_string(Resolver *resolver, Str text, Str pointer, Error *err)
{
    CLEANUP(buf_done) Buf plain = {.secret = true};
    const Str whole = text;
    const size_t before = resolver->findings->count;
    bool replaced = false;
    while (text.size > 0) {
        const size_t start = str_find(text, STR("${"));
        TRY(buf_append(&plain, str_slice(text, 0, start), err));
        text = str_slice(text, start, text.size);
        if (text.size == 0)
            break;
        const size_t end = str_find_char(text, '}');
        if (end == text.size) {
            findings_addf(resolver->findings, pointer, STR("close it with }"),
                          "a ${ without its }");
            break;
        }
        Str value = {0};
        TRY(read_reference(resolver, str_slice(text, 2, end - 2), pointer, &value, err));
        TRY(buf_append(&plain, without_line_end(value), err));
        replaced = true;
        text = str_slice(text, end + 1, text.size);
    }
    // What CI does not know it sets to nothing. Only the source would tell, as a wrong credential.
    if (replaced && plain.size == 0 && resolver->findings->count == before)
        findings_addf(resolver->findings, pointer, STR("give it a value"), STR_FMT " is empty",
                      STR_ARG(whole));
    TRY(json_write_str(buf_str(&plain), resolver->value, err));
    return json_write_str(replaced ? STR("***") : buf_str(&plain), resolver->shown, err);
}

static bool append_both(Resolver *resolver, Str text, Error *err)
{
    return buf_append(resolver->value, text, err) && buf_append(resolver->shown, text, err);
}

static bool resolve_value(Resolver *resolver, yyjson_val *value, Str pointer, int depth,
                          Error *err);

// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX bounds the depth
static bool resolve_object(Resolver *resolver, yyjson_val *object, Str pointer, int depth,
                           Error *err)
{
    TRY(append_both(resolver, STR("{"), err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(object, i, count, name, member)
    {
        if (i > 0)
            TRY(append_both(resolver, STR(","), err));
        TRY(json_write_str(json_str(name), resolver->value, err));
        TRY(json_write_str(json_str(name), resolver->shown, err));
        TRY(append_both(resolver, STR(":"), err));
        Str below = {0};
        TRY(arena_printf(resolver->arena, &below, err, STR_FMT "/" STR_FMT, STR_ARG(pointer),
                         STR_ARG(json_str(name))));
        TRY(resolve_value(resolver, member, below, depth + 1, err));
    }
    return append_both(resolver, STR("}"), err);
}

// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX bounds the depth
static bool resolve_array(Resolver *resolver, yyjson_val *array, Str pointer, int depth, Error *err)
{
    TRY(append_both(resolver, STR("["), err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(array, i, count, item)
    {
        if (i > 0)
            TRY(append_both(resolver, STR(","), err));
        Str below = {0};
        TRY(arena_printf(resolver->arena, &below, err, STR_FMT "/%zu", STR_ARG(pointer), i));
        TRY(resolve_value(resolver, item, below, depth + 1, err));
    }
    return append_both(resolver, STR("]"), err);
}

// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX bounds the depth
static bool resolve_value(Resolver *resolver, yyjson_val *value, Str pointer, int depth, Error *err)
{
    if (depth > DEPTH_MAX)
        return error_set(err, ERROR_JOB, STR_FMT ": nested deeper than %d levels", STR_ARG(pointer),
                         DEPTH_MAX);
    if (yyjson_is_str(value))
        return resolve_string(resolver, json_str(value), pointer, err);
    if (yyjson_is_obj(value))
        return resolve_object(resolver, value, pointer, depth, err);
    if (yyjson_is_arr(value))
        return resolve_array(resolver, value, pointer, depth, err);
    return json_write(value, resolver->value, err) && json_write(value, resolver->shown, err);
}

static void resolver_done(Resolver *resolver)
{
    identity_close(resolver->identity);
}

bool secret_resolve(yyjson_val *value, const SecretOptions *options, Arena *arena,
                    yyjson_val **ret_value, yyjson_val **ret_shown, Error *err)
{
    CLEANUP(buf_done) Buf text = {.secret = true};
    CLEANUP(buf_done) Buf shown = {0};
    VaultSecrets own = {0};
    CLEANUP(resolver_done)
    Resolver resolver = {.place = options->place,
                         .folder = options->folder,
                         .notes = options->notes,
                         .vaults = options->vaults != NULL ? options->vaults : &own,
                         .env = options->env,
                         .arena = arena,
                         .findings = options->findings,
                         .value = &text,
                         .shown = &shown};
    Str root = {0};
    TRY(arena_printf(arena, &root, err, STR_FMT ": ", STR_ARG(options->place)));
    TRY(resolve_value(&resolver, value, root, 0, err));

    yyjson_doc *value_doc = NULL;
    yyjson_doc *shown_doc = NULL;
    TRY(json_parse(buf_str(&text), "job", arena, &value_doc, err));
    TRY(json_parse(buf_str(&shown), "job", arena, &shown_doc, err));
    *ret_value = yyjson_doc_get_root(value_doc);
    *ret_shown = yyjson_doc_get_root(shown_doc);
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): secret_resolve() has seen to its depth
bool secret_names_file(yyjson_val *value)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    bool found = str_find(json_str(value), STR("${file:")) < json_str(value).size;
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, i, count, item) found = found || secret_names_file(item);
    } else {
        yyjson_obj_foreach(value, i, count, name, item) found = found || secret_names_file(item);
    }
    return found;
}

bool secret_is_secret_name(Str name)
{
    static const char *const whole[] = {"password",   "passwd",     "secret",      "token",
                                        "key",        "api_key",    "apikey",      "sas",
                                        "credential", "forget_key", "privacy_key", NULL};
    static const char *const endings[] = {
        "_password",    "_secret",     "_token", "_api_key",     "_access_key",
        "_private_key", "_secret_key", "_sas",   "_account_key", NULL};
    for (size_t i = 0; whole[i] != NULL; i++) {
        if (str_equal_ignoring_case(name, str_from(whole[i])))
            return true;
    }
    for (size_t i = 0; endings[i] != NULL; i++) {
        if (str_ends_with(name, str_from(endings[i])))
            return true;
    }
    return str_equal(name, STR("access_key")) || str_equal(name, STR("account_key")) ||
           str_equal(name, STR("secret_key")) || str_equal(name, STR("private_key"));
}

// NOLINTNEXTLINE(misc-no-recursion): json_parse() bounds the depth
static void refuse_member(yyjson_val *name, yyjson_val *member, Str place, Str pointer,
                          Findings *findings)
{
    Str below = {0};
    Error ignored = {0};
    if (!arena_printf(findings->arena, &below, &ignored, STR_FMT "/" STR_FMT, STR_ARG(pointer),
                      STR_ARG(json_str(name))))
        below = pointer;
    const Str text = json_str(member);
    if (yyjson_is_str(member) && secret_is_secret_name(json_str(name)) && text.size > 0 &&
        str_find(text, STR("${")) == text.size) {
        Str full = {0};
        if (!arena_printf(findings->arena, &full, &ignored, STR_FMT ": " STR_FMT, STR_ARG(place),
                          STR_ARG(below)))
            full = below;
        findings_add(
            findings, full, STR("a secret is written out in the job file"),
            STR("put it into the environment and write ${env:NAME}, or into a key vault and "
                "write ${keyvault:VAULT/NAME}"));
        return;
    }
    secret_refuse_plain(member, place, below, findings);
}

// NOLINTNEXTLINE(misc-no-recursion): json_parse() bounds the depth
void secret_refuse_plain(yyjson_val *value, Str place, Str pointer, Findings *findings)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    if (yyjson_is_obj(value)) {
        yyjson_obj_foreach(value, i, count, name, member)
        {
            refuse_member(name, member, place, pointer, findings);
        }
    } else if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, i, count, member)
        {
            secret_refuse_plain(member, place, pointer, findings);
        }
    }
}
