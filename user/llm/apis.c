/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/apis.h"

static const struct llm_api *const apis[] = {
    &openai_chat_api,
    &anthropic_messages_api,
};

/* A host is named by itself or by a domain that it is under. */
static const struct {
	const char *domain, *provider;
} providers[] = {
    {"api.openai.com", "openai"},
    {"openai.azure.com", "azure.ai.openai"},
    {"cognitiveservices.azure.com", "azure.ai.openai"},
    {"services.ai.azure.com", "azure.ai.inference"},
    {"models.ai.azure.com", "azure.ai.inference"},
    {"anthropic.com", "anthropic"},
    {"aiplatform.googleapis.com", "gcp.vertex_ai"},
    {"generativelanguage.googleapis.com", "gcp.gemini"},
    {"amazonaws.com", "aws.bedrock"},
    {"api.aws", "aws.bedrock"},
    {"groq.com", "groq"},
    {"deepseek.com", "deepseek"},
    {"x.ai", "x_ai"},
    {"mistral.ai", "mistral_ai"},
    {"openrouter.ai", "openrouter"},
    {"together.xyz", "together"},
    {"together.ai", "together"},
    {"perplexity.ai", "perplexity"},
    {"moonshot.ai", "moonshot_ai"},
    {"moonshot.cn", "moonshot_ai"},
    {"cohere.com", "cohere"},
    {"cohere.ai", "cohere"},
    {"ml.cloud.ibm.com", "ibm.watsonx.ai"},
    {"fireworks.ai", "fireworks"},
    {"cerebras.ai", "cerebras"},
    {"huggingface.co", "huggingface"},
    {"ollama.com", "ollama"},
    {"writer.com", "writer"},
};

static bool under(struct slice host, struct slice domain)
{
	if (host.n < domain.n || !slice_caseeq(slice_from(host, host.n - domain.n), domain))
		return false;
	if (host.n == domain.n)
		return true;

	/* Google's regional hosts are us-east5-aiplatform.googleapis.com. */
	char before = host.p[host.n - domain.n - 1];
	return before == '.' || (before == '-' && slice_ends(domain, SLICE(".googleapis.com")));
}

const char *api_provider(struct slice host, const char *flavour)
{
	for (size_t i = 0; i < sizeof(providers) / sizeof(*providers); i++)
		if (under(host, slice_str(providers[i].domain)))
			return providers[i].provider;
	return flavour;
}

const struct llm_api *api_find(const struct api_target *t, enum api_fit *ret_fit)
{
	const struct llm_api *best = NULL;
	enum api_fit best_fit = API_NO;

	for (size_t i = 0; i < sizeof(apis) / sizeof(*apis); i++) {
		enum api_fit fit = apis[i]->fit(t);

		if (fit > best_fit) {
			best = apis[i];
			best_fit = fit;
		}
	}
	if (best)
		*ret_fit = best_fit;
	return best;
}
