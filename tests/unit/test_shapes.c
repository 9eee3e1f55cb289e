/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets known by their shape, each in every place where traffic has them;
 * and what looks like one and is none.  The secrets are made here, of the
 * provider's prefix and as many characters as its have: no scanner of
 * repositories finds one in this file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "span/content.h"
#include "span/redact.h"

#define ALPHA "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define URL64 ALPHA "-_"
#define UP    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#define HEX   "0123456789abcdef"
#define B64   ALPHA "+/"

/* '@' in the form: random characters; the rest as it is. */
static const struct {
	const char *who, *form, *alphabet, *label;
	size_t n; /* for all '@' together, evenly */
} secrets[] = {
    {"Anthropic", "sk-ant-api03-@AA", URL64, "api_key", 93},
    {"Anthropic OAuth", "sk-ant-oat01-@AA", URL64, "api_key", 93},
    {"OpenAI", "sk-@T3BlbkFJ@", ALPHA, "api_key", 40},
    {"OpenAI project", "sk-proj-@T3BlbkFJ@", URL64, "api_key", 148},
    {"OpenAI service account", "sk-svcacct-@T3BlbkFJ@", URL64, "api_key", 148},
    {"OpenRouter", "sk-or-v1-@", HEX, "api_key", 64},
    {"DeepSeek", "sk-@", HEX, "api_key", 32},
    {"Google", "AIzaSy@", URL64, "api_key", 33},
    {"Google OAuth", "ya29.a0@", URL64, "token", 150},
    {"Google client", "GOCSPX-@", URL64, "secret", 28},
    {"Google refresh", "1//0@", URL64, "token", 98},
    {"Groq", "gsk_@", ALPHA, "api_key", 52},
    {"Hugging Face", "hf_@", ALPHA, "api_key", 34},
    {"xAI", "xai-@", ALPHA, "api_key", 80},
    {"Replicate", "r8_@", ALPHA, "api_key", 37},
    {"Perplexity", "pplx-@", ALPHA, "api_key", 48},
    {"NVIDIA", "nvapi-@", URL64, "api_key", 64},
    {"Cerebras", "csk-@", ALPHA, "api_key", 48},
    {"Together", "tgp_v1_@", URL64, "api_key", 43},
    {"Fireworks", "fw_@", ALPHA, "api_key", 24},
    {"Tavily", "tvly-dev-@", ALPHA, "api_key", 32},
    {"Jina", "jina_@", ALPHA, "api_key", 60},
    {"Voyage", "pa-@", URL64, "api_key", 43},
    {"LangSmith", "lsv2_pt_@_0123456789", HEX, "api_key", 32},
    {"Langfuse", "sk-lf-@", HEX, "api_key", 32},
    {"Pinecone", "pcsk_@", URL64, "api_key", 70},
    {"AWS", "AKIA@", UP, "api_key", 16},
    {"AWS session", "ASIA@", UP, "api_key", 16},
    {"Alibaba", "LTAI5t@", ALPHA, "api_key", 18},
    {"DigitalOcean", "dop_v1_@", HEX, "token", 64},
    {"Databricks", "dapi@", HEX, "token", 32},
    {"Vault", "hvs.CAESI@", URL64, "token", 90},
    {"GitHub", "ghp_@", ALPHA, "token", 36},
    {"GitHub app", "ghs_@", ALPHA, "token", 36},
    {"GitHub fine", "github_pat_@_@", ALPHA, "token", 82},
    {"GitLab", "glpat-@", URL64, "token", 20},
    {"Slack bot", "xoxb-123456789012-1234567890123-@", ALPHA, "token", 24},
    {"Slack app", "xapp-1-A0123456789-@", HEX, "token", 64},
    {"Slack hook", "hooks.slack.com/services/T0123456789/B0123456789/@", ALPHA, "token", 24},
    {"Discord hook", "discord.com/api/webhooks/123456789012345678/@", URL64, "token", 68},
    {"Stripe", "sk_live_@", ALPHA, "api_key", 99},
    {"Stripe restricted", "rk_live_@", ALPHA, "api_key", 99},
    {"Stripe hook", "whsec_@", ALPHA, "secret", 32},
    {"SendGrid", "SG.@.@", URL64, "api_key", 65},
    {"npm", "npm_@", ALPHA, "token", 36},
    {"PyPI", "pypi-AgEIcHlwaS5vcmc@", URL64, "token", 140},
    {"Docker", "dckr_pat_@", URL64, "token", 27},
    {"Shopify", "shpat_@", HEX, "token", 32},
    {"Supabase", "sbp_@", HEX, "token", 40},
    {"PlanetScale", "pscale_tkn_@", URL64, "token", 43},
    {"Linear", "lin_api_@", ALPHA, "api_key", 40},
    {"Notion", "ntn_@", ALPHA, "token", 46},
    {"Figma", "figd_@", URL64, "token", 40},
    {"Grafana", "glsa_@_0123abcd", ALPHA, "token", 32},
    {"Atlassian", "ATATT3xFfGF0@=0123ABCD", URL64, "token", 170},
    {"age", "AGE-SECRET-KEY-1@", "ACDEFGHJKLMNPQRSTUVWXYZ023456789", "private_key", 58},
    {"JWT", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.@", URL64, "jwt", 43},
    {"JWE", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.@.@.@.@", URL64, "jwt", 400},
    {"key in PEM", "-----BEGIN PRIVATE KEY-----\n@\n@\n@\n-----END PRIVATE KEY-----", B64, "private_key",
     180},
    {"key of OpenSSH",
     "-----BEGIN OPENSSH PRIVATE KEY-----\r\n@\r\n@\r\n-----END OPENSSH PRIVATE KEY-----\r\n", B64,
     "private_key", 128},
    {"key of PGP", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n@\n@\n-----END PGP PRIVATE KEY BLOCK-----", B64,
     "private_key", 128},
    {"encrypted key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n@\n-----END ENCRYPTED PRIVATE KEY-----", B64,
     "private_key", 64},
};

#define N_SECRETS (sizeof(secrets) / sizeof(secrets[0]))

/* Known by where it stands: at every level. */
static const struct {
	const char *form, *alphabet;
	size_t n;
} placed[] = {
    {"postgres://app:@@db.internal:5432/shop?sslmode=require", ALPHA "!$&*-", 20},
    {"postgresql+asyncpg://app:@@10.0.0.7/shop", ALPHA, 20},
    {"mysql://root:@@127.0.0.1:3306/x", ALPHA, 16},
    {"mongodb+srv://svc:@@cluster0.ab1cd.mongodb.net/?retryWrites=true", ALPHA, 24},
    {"redis://:@@cache:6379/0", ALPHA, 24},
    {"amqps://user:@@mq.example/vhost", ALPHA, 24},
    {"https://oauth2:@@gitlab.example/group/project.git", ALPHA, 26},
    {"https:\\/\\/user:@@host.example\\/path", ALPHA, 20},
    {"Server=tcp:sql.example,1433;Database=shop;User ID=app;Password=@;Encrypt=true", ALPHA, 20},
    {"jdbc:postgresql://db/shop?user=app&password=@&ssl=true", ALPHA, 20},
    {"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=@==;EndpointSuffix=core.windows.net", B64,
     86},
    {"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=@=", B64, 43},
    {"https://shop.blob.core.windows.net/c/f?sv=2022-11-02&sp=r&sig=@%3D", ALPHA, 43},
    {"aws_secret_access_key = \"@\"", B64, 40},
    {"export AWS_SECRET_ACCESS_KEY=@", B64, 40},
    {"\\\"aws_secret_access_key\\\": \\\"@\\\"", B64, 40},
    {"AZURE_OPENAI_API_KEY=@", HEX, 32},
    {"MISTRAL_API_KEY='@'", ALPHA, 32},
    {"curl -H 'api-key: @' https://x.openai.azure.com/", HEX, 32},
};

/* Where a secret stands: "%s". */
static const char *const contexts[] = {
    "%s",
    "the key is %s.",
    "key=%s\n",
    "KEY: %s, and more",
    "(%s)",
    "`%s`",
    "https://api.example/v1/x?t=%s&page=2",
    "{\"value\": \"%s\"}",
    "{\\\"value\\\": \\\"%s\\\"}",
    "line one\\n%s\\nline three",
    "a\\tb\\t%s\\r\\n",
    "echo %s | tee out",
    "['%s','x']",
    "<key>%s</key>",
};

static uint64_t rng = 88172645463325252u;

static unsigned draw(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 11) % n;
}

/* Each '@' of the form becomes n/(number of '@') characters; "@@" in `url` one '@' behind them. */
static void make(struct buf *out, const char *form, const char *alphabet, size_t n, bool url)
{
	size_t marks = 0;

	for (const char *p = form; *p; p++)
		marks += *p == '@';
	n /= url || !marks ? 1 : marks;
	for (const char *p = form; *p; p++) {
		if (*p != '@') {
			buf_addc(out, *p);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			buf_addc(out, i % 7 == 3 ? (strchr(alphabet, '0') ? '0' : '2')
			                         : alphabet[draw((unsigned)strlen(alphabet))]);
		if (url && p[1] == '@')
			buf_addc(out, *p++);
	}
}

/* The longest part of `secret` that is in `text`. */
static size_t left_over(struct slice text, struct slice secret)
{
	size_t longest = 0;

	for (size_t i = 0; i < secret.n; i++)
		while (i + longest < secret.n && slice_find(text, slice_of(secret.p + i, longest + 1)))
			longest++;
	return longest;
}

static void in_context(struct buf *out, const char *context, struct slice secret)
{
	const char *at = strstr(context, "%s");

	buf_add(out, context, (size_t)(at - context));
	buf_addslice(out, secret);
	buf_adds(out, at + 2);
}

/* What may remain: a part of the form that is in the label or the context by chance. */
#define REMAINS_MAX 10

static void every_shape_in_every_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SECRETS; i++)
		for (size_t k = 0; k < sizeof(contexts) / sizeof(contexts[0]); k++) {
			struct buf secret = {0}, text = {0}, out = {0};
			char mask[48];

			make(&secret, secrets[i].form, secrets[i].alphabet, secrets[i].n, false);
			in_context(&text, contexts[k], buf_slice(&secret));
			redact_text(&out, buf_slice(&text), REDACT_SECRETS);
			snprintf(mask, sizeof(mask), "[masked:%s]", secrets[i].label);
			if (left_over(buf_slice(&out), buf_slice(&secret)) > REMAINS_MAX)
				fail_msg("%s: '%s' became '%s'", secrets[i].who, buf_str(&text),
				         buf_str(&out));
			if (!strstr(buf_str(&out), mask) && !strstr(buf_str(&out), "[masked:"))
				fail_msg("%s: no %s in '%s'", secrets[i].who, mask, buf_str(&out));
			/* Nothing around it is lost: both ends of the context stay. */
			size_t head = (size_t)(strstr(contexts[k], "%s") - contexts[k]);
			if (head && strncmp(buf_str(&out), contexts[k], head < 3 ? head : 3) != 0)
				fail_msg("'%s' became '%s'", buf_str(&text), buf_str(&out));
			buf_release(&secret);
			buf_release(&text);
			buf_release(&out);
		}
}

/* JSON as the model writes it: every character that need not be escaped may be. */
static void add_json(struct buf *out, struct slice s, int how)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\n' || c == '\r')
			buf_adds(out, c == '\n' ? "\\n" : "\\r");
		else if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if ((how == 1 && c == '-') || (how == 2 && i % 3 == 0))
			buf_addf(out, "\\u%04x", c);
		else if (how == 1 && c == '/')
			buf_adds(out, "\\/");
		else
			buf_addc(out, (char)c);
	}
}

static void expect_gone(size_t i, struct slice got, struct slice secret, const char *what)
{
	if (!got.p || left_over(got, secret) > REMAINS_MAX)
		fail_msg("%s, %s: '%.*s'", secrets[i].who, what, (int)got.n, got.p);
}

/* In tool arguments, in JSON within them, cut off in the middle, and as the text of a result. */
static void every_shape_in_json(void **state)
{
	struct content *c = malloc(sizeof(*c));

	(void)state;
	for (size_t i = 0; i < N_SECRETS; i++)
		for (int how = 0; how < 3; how++) {
			struct buf secret = {0}, once = {0}, args = {0}, inner = {0}, twice = {0};
			struct arena a = {0};

			content_init(c, CONTENT_REDACTED, 0);
			make(&secret, secrets[i].form, secrets[i].alphabet, secrets[i].n, false);
			add_json(&once, buf_slice(&secret), how);
			buf_addf(&args, "{\"path\":\"x\",\"content\":\"A=%s\\n\"}", buf_str(&once));
			expect_gone(i, content_arguments(c, &a, buf_slice(&args)), buf_slice(&secret),
			            "arguments");
			expect_gone(i, content_result(c, &a, buf_slice(&args)), buf_slice(&secret), "result");
			expect_gone(i, content_arguments(c, &a, slice_of(args.p, args.n - 2)),
			            buf_slice(&secret), "cut arguments");
			/* {"body": "{\"content\": …}"} */
			add_json(&inner, buf_slice(&args), 0);
			buf_addf(&twice, "{\"body\":\"%s\"}", buf_str(&inner));
			expect_gone(i, content_arguments(c, &a, buf_slice(&twice)), buf_slice(&secret),
			            "JSON in JSON");
			arena_release(&a);
			content_release(c);
			buf_release(&secret);
			buf_release(&once);
			buf_release(&args);
			buf_release(&inner);
			buf_release(&twice);
		}
	free(c);
}

static void connection_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++)
		for (unsigned mode = REDACT_CREDENTIALS; mode <= REDACT_SECRETS; mode++) {
			struct buf text = {0}, out = {0}, plain = {0};

			make(&text, placed[i].form, placed[i].alphabet, placed[i].n,
			     strstr(placed[i].form, "@@"));
			size_t begin = strcspn(placed[i].form, "@");
			struct slice secret = slice_of(text.p + begin, placed[i].n);
			size_t masks = redact_text(&out, buf_slice(&text), mode);
			if (!masks || left_over(buf_slice(&out), secret) > 3)
				fail_msg("'%s' became '%s'", buf_str(&text), buf_str(&out));
			buf_release(&text);
			buf_release(&out);
			buf_release(&plain);
		}
}

static const char *const harmless[] = {
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "index 83db48f..f735c2d 100644",
    "550e8400-e29b-41d4-a716-446655440000",
    "{\"id\":\"chatcmpl-9dKqN2vLpZ0TtWwYc5aBfR7eXh1Js\",\"call_id\":\"call_mszuSIzqtI65i1wAUOE8w5H4\"}",
    "msg_01XFDUDYJgAACzvnptvVoYEL toolu_01T1x1fJ34qAmk2tNTrN7Up6 req_018EeWyXxfu5pfWkrYcMdjWG",
    "resp_0655583668ea25df0069d6f97d0f108196b2c4bfe185de16d1 fp_44709d6fcb",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "\"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==\"",
    "\"signature\":\"EqQBCkYICxgCKkCzVsB0X8nzV4a2bQ1xk+0o9Q==\"",
    "class sk-toggleable__control, pa-ne, fw_bold, hf_hub_download(), npm_config_registry, dapi.get()",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@box",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
    "https://github.com/torvalds/linux/commit/1da177e4c3f41524e886b7f1b8a0c1fc7321cac2",
    "https://example.com/@user/a:b@c?x=1#frag eyJhbGciOiJIUzI1NiJ9 eyJ.eyJ.x",
    "C:\\new\\temp\\readme.txt \\u00e9\\u2013 \\/ ok",
    "postgres://db.internal:5432/shop, redis://cache:6379, http://user@host/",
    "asia-northeast1 AKIA ASIA12 LTAI SG.x ya29 1//0 ghp_ xoxb- gsk_short",
};

static void what_is_no_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		struct buf out = {0};

		if (redact_changes(&out, slice_str(harmless[i]), REDACT_SECRETS))
			fail_msg("'%s' became '%s'", harmless[i], buf_str(&out));
		buf_release(&out);
	}
}

/* 4 MiB of an image, hashes and ids, drawn: chance makes no secret. */
static void random_text_stays(void **state)
{
	struct buf text = {0}, out = {0};

	(void)state;
	buf_adds(&text, "data:image/png;base64,");
	for (size_t i = 0; i < 2u << 20; i++)
		buf_addc(&text, B64[draw(64)]);
	for (size_t i = 0; i < 50000; i++) {
		buf_addc(&text, ' ');
		for (int k = 0; k < 40; k++)
			buf_addc(&text, HEX[draw(16)]);
	}
	size_t masks = redact_changes(&out, buf_slice(&text), REDACT_SECRETS);
	if (masks)
		fail_msg("%zu masks", masks);
	buf_release(&text);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_shape_in_every_place), cmocka_unit_test(every_shape_in_json),
	    cmocka_unit_test(connection_strings),         cmocka_unit_test(what_is_no_secret),
	    cmocka_unit_test(random_text_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
