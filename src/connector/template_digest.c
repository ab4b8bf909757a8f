// Filters that hash and encode: hash, hmac, base64.

#include "connector/template_filter.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

// --- digests

static bool take_hex(Machine *machine, const unsigned char *bytes, size_t size, Value *ret_value,
                     Error *err)
{
    CLEANUP(buf_done) Buf out = {0};
    for (size_t i = 0; i < size; i++)
        TRY(buf_printf(&out, err, "%02x", bytes[i]));
    return machine_take(machine, &out, ret_value, err);
}

// Python's name of a digest to OpenSSL's.
static const EVP_MD *find_digest(Str name)
{
    static const struct {
        const char *name;
        const EVP_MD *(*digest)(void);
    } digests[] = {
        {"md5", EVP_md5},           {"sha1", EVP_sha1},          {"sha224", EVP_sha224},
        {"sha256", EVP_sha256},     {"sha384", EVP_sha384},      {"sha512", EVP_sha512},
        {"sha3_224", EVP_sha3_224}, {"sha3_256", EVP_sha3_256},  {"sha3_384", EVP_sha3_384},
        {"sha3_512", EVP_sha3_512}, {"blake2b", EVP_blake2b512}, {"blake2s", EVP_blake2s256},
    };
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        if (str_equal(name, str_from(digests[i].name)))
            return digests[i].digest();
    }
    return NULL;
}

bool filter_hash(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str name = {0};
    Str salt = {0};
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(argument_as_str(machine, arguments, 0, STR("md5"), &name, err) &&
        argument_as_str(machine, arguments, 1, STR(""), &salt, err));
    const EVP_MD *digest = find_digest(name);
    if (digest == NULL)
        return raise_value(machine, err, "no hash function is named " STR_FMT,
                           STR_ARG(str_slice(name, 0, 60)));
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    TRY(value_write_str(arguments->self, &text, err) && buf_append(&text, salt, err));
    const void *data = text.size == 0 ? "" : text.data;
    if (EVP_Digest(data, text.size, bytes, &size, digest, NULL) != 1)
        return error_set(err, ERROR_LIMIT, "hash: OpenSSL refused");
    return take_hex(machine, bytes, size, ret_value, err);
}

bool filter_hmac(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str key = {0};
    Str name = {0};
    Str text = {0};
    TRY(machine_str(machine, arguments->values[0], &key, err) &&
        argument_as_str(machine, arguments, 1, STR("sha256"), &name, err) &&
        machine_str(machine, arguments->self, &text, err));
    if (!str_equal(name, STR("sha256")))
        return raise_value(machine, err, "hmac: only sha256 is allowed");
    if (key.size > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "hmac: the key is too long");
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const unsigned char *data = (const unsigned char *)(text.size == 0 ? "" : text.data);
    const void *key_data = key.size == 0 ? "" : key.data;
    if (HMAC(EVP_sha256(), key_data, (int)key.size, data, text.size, bytes, &size) == NULL)
        return error_set(err, ERROR_LIMIT, "hmac: OpenSSL refused");
    return take_hex(machine, bytes, size, ret_value, err);
}

// --- base64

bool filter_base64encode(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str text = {0};
    TRY(filter_subject_str(machine, arguments, &text, err));
    const size_t room = (text.size + 2) / 3 * 4 + 1;
    if (text.size > MACHINE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "base64encode: a text that is too long");
    unsigned char *out = arena_alloc(machine->arena, room, err);
    TRY(out != NULL);
    const unsigned char *data = (const unsigned char *)(text.size == 0 ? "" : text.data);
    const int size = EVP_EncodeBlock(out, data, (int)text.size);
    *ret_value = value_str((Str){(const char *)out, (size_t)size});
    return true;
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Like Python's b64decode: other characters are passed over, padding is needed.
static bool decode_base64(Str text, unsigned char *out, size_t *ret_size)
{
    uint32_t bits = 0;
    size_t count = 0;
    size_t padding = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        const int value = sextet(text.data[i]);
        padding += text.data[i] == '=' && count % 4 >= 2 ? 1 : 0;
        if (text.data[i] == '=' && (count + padding) % 4 == 0 && padding > 0)
            break;
        if (value < 0)
            continue;
        padding = 0;
        bits = bits << 6 | (uint32_t)value;
        if (++count % 4 != 1)
            out[size++] = (unsigned char)(bits >> (6 - 2 * ((count - 1) % 4)));
    }
    *ret_size = size;
    return count % 4 == 0 || (count % 4 != 1 && (count + padding) % 4 == 0);
}

bool filter_base64decode(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str text = {0};
    size_t size = 0;
    TRY(filter_subject_str(machine, arguments, &text, err));
    unsigned char *out = arena_alloc(machine->arena, text.size + 1, err);
    TRY(out != NULL);
    if (!decode_base64(text, out, &size))
        return raise_value(machine, err, "base64decode: incorrect padding");
    const Str decoded = {(const char *)out, size};
    if (!str_is_utf8(decoded))
        return raise_value(machine, err, "base64decode: what it stands for is no UTF-8");
    *ret_value = value_str(decoded);
    return true;
}

// Whatever its name says, the reference encodes here.
bool filter_base64binascii_decode(Machine *machine, const Arguments *arguments, Value *ret_value,
                                  Error *err)
{
    return filter_base64encode(machine, arguments, ret_value, err);
}
