/*
 * crypto sha512|aes N, crypto rsa N KEY: libcrypto at work: N MiB hashed, N MiB encrypted by AES-256-CBC, N signatures of
 * RSA 2048. crypto key KEY makes the file of a key.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char data[1 << 20], out[(1 << 20) + 64];

static void must(int good)
{
	if (good <= 0) {
		fprintf(stderr, "crypto: the library refuses\n");
		exit(1);
	}
}

static unsigned sha512(unsigned long n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned length;

	must(EVP_DigestInit_ex(c, EVP_sha512(), NULL));
	while (n--)
		must(EVP_DigestUpdate(c, data, sizeof(data)));
	must(EVP_DigestFinal_ex(c, out, &length));
	return length;
}

static unsigned aes(unsigned long n)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int length = 0;

	must(EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, data, data + 64));
	while (n--)
		must(EVP_EncryptUpdate(c, out, &length, data, sizeof(data)));
	return 64;
}

static unsigned rsa(unsigned long n, const char *key_file)
{
	FILE *f = fopen(key_file, "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	size_t length = 0;

	must(key != NULL);
	while (n--) {
		EVP_MD_CTX *c = EVP_MD_CTX_new();

		length = sizeof(out);
		must(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key));
		must(EVP_DigestSign(c, out, &length, data, 64));
		memcpy(data, out, 32); /* the next message follows from this signature */
		EVP_MD_CTX_free(c);
	}
	return (unsigned)length;
}

static int make_key(const char *key_file)
{
	FILE *f = fopen(key_file, "w");
	EVP_PKEY *key = EVP_RSA_gen(2048);

	must(f && key && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) && fclose(f) == 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "key") == 0)
		return make_key(argv[2]);

	unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned length;

	for (unsigned k = 0; k < sizeof(data); k++)
		data[k] = (unsigned char)(k * 7 + (k >> 8));
	if (n && strcmp(argv[1], "sha512") == 0)
		length = sha512(n);
	else if (n && strcmp(argv[1], "aes") == 0)
		length = aes(n);
	else if (n && argc > 3 && strcmp(argv[1], "rsa") == 0)
		length = rsa(n, argv[3]);
	else
		return fprintf(stderr, "crypto: sha512 N, aes N, rsa N KEY or key KEY\n"), 2;
	for (unsigned k = 0; k < length; k++)
		printf("%02x", out[k]);
	printf("\n");
	return 0;
}
