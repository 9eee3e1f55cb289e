/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/apis.h"

/* clang-format off */
static const struct llm_api *const apis[] = {
    &openai_chat_api,
    &openai_responses_api,
    &openai_realtime_api,
    &openai_completions_api,
    &openai_embeddings_api,
    &openai_images_api,
    &openai_audio_api,
    &openai_moderations_api,
    &mistral_ocr_api,
    &anthropic_messages_api,
    &anthropic_complete_api,
    &anthropic_count_tokens_api,
    &gemini_generate_api,
    &gemini_embed_api,
    &gemini_count_tokens_api,
    &gemini_interactions_api,
    &vertex_raw_predict_api,
    &bedrock_converse_api,
    &bedrock_invoke_api,
    &bedrock_agent_api,
    &bedrock_retrieve_api,
    &cohere_chat_v1_api,
    &cohere_chat_v2_api,
    &cohere_generate_api,
    &cohere_embed_api,
    &rerank_api,
    &ollama_chat_api,
    &ollama_generate_api,
    &ollama_embed_api,
    &qdrant_api,
    &chroma_api,
    &pinecone_api,
    &weaviate_api,
    &mcp_api,
};
/* clang-format on */

/* A host is named by itself or by a domain that it is under. */
static const struct {
	const char *domain, *provider;
} providers[] = {
    {"api.openai.com", "openai"},
    {"chatgpt.com", "openai"},
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
    {"voyageai.com", "voyageai"},
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

static bool takes(const struct llm_api *api, const struct api_target *t, bool socket)
{
	if (socket)
		return api->message != NULL;
	return api->request && (api->any_method || slice_eq(t->method, SLICE("POST")));
}

const struct llm_api *api_find(const struct api_target *t, bool socket, enum api_fit *ret_fit)
{
	const struct llm_api *best = NULL;
	enum api_fit best_fit = API_NO;

	for (size_t i = 0; i < sizeof(apis) / sizeof(*apis); i++) {
		enum api_fit fit = takes(apis[i], t, socket) ? apis[i]->fit(t) : API_NO;

		if (fit > best_fit) {
			best = apis[i];
			best_fit = fit;
		}
	}
	if (best)
		*ret_fit = best_fit;
	return best;
}

const struct llm_api *api_next(const struct api_target *t, const struct llm_api *after)
{
	size_t n = sizeof(apis) / sizeof(*apis), i = 0;

	while (i < n && apis[i] != after)
		i++;
	while (++i < n)
		if (takes(apis[i], t, false) && apis[i]->fit(t) == API_SHAPE)
			return apis[i];
	return NULL;
}

const struct llm_api *api_by_shape(yyjson_val *body)
{
	for (size_t i = 0; i < sizeof(apis) / sizeof(*apis); i++)
		if (apis[i]->shape && apis[i]->shape(body))
			return apis[i];
	return NULL;
}

struct slice api_between(struct slice s, struct slice before, char end)
{
	const char *at = slice_find(s, before);
	struct slice rest, part;

	if (!at)
		return (struct slice){0};
	rest = slice_from(s, (size_t)(at - s.p) + before.n);
	return slice_cut(&rest, end, &part) && part.n ? part : (struct slice){0};
}
