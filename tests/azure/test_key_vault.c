// References to secrets in key vaults. How they are fetched is tests/e2e/test_azure.py's business.
#include "azure/key_vault.h"

#include "harness/check.h"

TEST(references_lead_to_their_vault_and_to_no_other_host)
{
#define VERSION "0123456789abcdef0123456789abcdef"
    const struct {
        const char *reference;
        const char *url;      // NULL = refused
        const char *resource; // or what the refusal says
    } rows[] = {
        {"my-vault/ctm", "https://my-vault.vault.azure.net/secrets/ctm?api-version=7.4",
         "https://vault.azure.net"},
        {"v/Name-1/" VERSION,
         "https://v.vault.azure.net/secrets/Name-1/" VERSION "?api-version=7.4",
         "https://vault.azure.net"},
        {"https://v.vault.azure.cn/n", "https://v.vault.azure.cn/secrets/n?api-version=7.4",
         "https://vault.azure.cn"},
        {"https://v.vault.usgovcloudapi.net/n/" VERSION,
         "https://v.vault.usgovcloudapi.net/secrets/n/" VERSION "?api-version=7.4",
         "https://vault.usgovcloudapi.net"},
        {"http://127.0.0.1:8080/n", "http://127.0.0.1:8080/secrets/n?api-version=7.4",
         "https://vault.azure.net"},
        {"", NULL, "is no vault's name"},
        {"vault", NULL, "is no secret's name"},
        {"vault/", NULL, "is no secret's name"},
        {"vault/a_b", NULL, "is no secret's name"},
        {"a.b/n", NULL, "is no vault's name"},
        {"v@evil/n", NULL, "is no vault's name"},
        {"vault/n/latest", NULL, "is no version"},
        {"vault/n/" VERSION "/x", NULL, "is no version"},
        {"vault/n?x=1", NULL, "is no secret's name"},
        {"http://v.vault.azure.net/n", NULL, "is no host of Azure Key Vault"},
        {"https://evil.example.com/n", NULL, "is no host of Azure Key Vault"},
        {"https://v.vault.azure.net.evil.com/n", NULL, "is no host of Azure Key Vault"},
        {"https://a.b.vault.azure.net/n", NULL, "is no host of Azure Key Vault"},
        {"https://u:p@127.0.0.1/n", NULL, "is no URL"},
        {"ftp://127.0.0.1/n", NULL, "is no URL"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].reference);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(64 * 1024, &err);
        KeyVaultSecret secret = {0};
        const bool ok = key_vault_parse(str_from(rows[i].reference), arena, &secret, &err);
        CHECK(ok == (rows[i].url != NULL));
        if (ok) {
            CHECK_STR(secret.url, str_from(rows[i].url));
            CHECK_STR(secret.resource, str_from(rows[i].resource));
        } else {
            CHECK_INT(err.code, ERROR_JOB);
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].resource));
        }
    }
}
