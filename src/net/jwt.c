#include "net/jwt.h"

#include "base/fault.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

bool jwt_append_base64url(Buf *out, Str bytes, Error *err)
{
    TRY(buf_reserve(out, bytes.size / 3 * 4 + 5, err));
    unsigned char *at = (unsigned char *)out->data + out->size;
    const int size = EVP_EncodeBlock(at, (const unsigned char *)bytes.data, (int)bytes.size);
    for (int i = 0; i < size && at[i] != '='; i++) {
        at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
        out->size++;
    }
    return true;
}

// OpenSSL would ask the terminal for a passphrase that is not there.
static int give_passphrase(char *out, int room, int writing, void *passphrase)
{
    (void)writing;
    const Str *text = passphrase;
    if (text->size == 0 || text->size > (size_t)room)
        return -1;
    memcpy(out, text->data, text->size);
    return (int)text->size;
}

EVP_PKEY *jwt_read_key(Str pem, Str passphrase)
{
    BIO *bio = fault_here() ? NULL : BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &passphrase);
    BIO_free(bio);
    return key;
}
