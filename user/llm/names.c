/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "llm/names.h"

const char *const llm_target_names[] = {
    /* OpenAI and compatible ones: chat/completions, fim/completions, agents/completions, responses, … */
    "completions",
    "responses",
    "embeddings",
    "generations",
    "edits",
    "variations",
    "speech",
    "transcriptions",
    "translations",
    "moderations",
    "realtime",
    "ocr",
    /* Anthropic */
    "messages",
    "complete",
    "count_tokens",
    "batches",
    /* Gemini, Vertex */
    "generateContent",
    "streamGenerateContent",
    "embedContent",
    "batchEmbedContents",
    "countTokens",
    "rawPredict",
    "streamRawPredict",
    "predict",
    /* Bedrock */
    "converse",
    "converse-stream",
    "invoke",
    "invoke-with-response-stream",
    /* Cohere, Ollama */
    "chat",
    "embed",
    "rerank",
    "generate",
    "api_generate",
    /* MCP over HTTP */
    "mcp",
    "sse",
    "message",
    /* vector stores */
    "query",
    "search",
    "points",
    "graphql",
    NULL,
};
