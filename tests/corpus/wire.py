# SPDX-License-Identifier: Apache-2.0
"""wire.py: what the recorded bodies say besides `expect`, under the names of span attributes.

Parameters and details of usage, found by where each provider puts them; read here with nothing of ours.
"""
import json

import exchanges

# (attribute, where the request has it): the first that is there counts.
REQUEST = (
    ("gen_ai.request.temperature", "temperature", "generationConfig.temperature", "generation_config.temperature",
     "inferenceConfig.temperature", "options.temperature", "textGenerationConfig.temperature"),
    ("gen_ai.request.top_p", "top_p", "generationConfig.topP", "inferenceConfig.topP", "inferenceConfig.top_p", "options.top_p",
     "textGenerationConfig.topP", "p", "topP"),
    ("gen_ai.request.top_k", "top_k", "generationConfig.topK", "inferenceConfig.topK", "options.top_k", "k", "top_n",
     "additionalModelRequestFields.inferenceConfig.topK", "additionalModelRequestFields.top_k"),
    ("gen_ai.request.max_tokens", "max_completion_tokens", "max_tokens", "max_output_tokens", "generationConfig.maxOutputTokens",
     "inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens", "options.num_predict", "max_tokens_to_sample",
     "max_gen_len", "textGenerationConfig.maxTokenCount", "maxTokens"),
    ("gen_ai.request.seed", "seed", "generationConfig.seed", "options.seed", "random_seed"),
    ("gen_ai.request.frequency_penalty", "frequency_penalty", "generationConfig.frequencyPenalty", "options.frequency_penalty"),
    ("gen_ai.request.presence_penalty", "presence_penalty", "generationConfig.presencePenalty", "options.presence_penalty"),
    ("gen_ai.request.reasoning.level", "reasoning_effort", "reasoning.effort", "output_config.effort",
     "generationConfig.thinkingConfig.thinkingLevel", "additionalModelRequestFields.reasoning_effort",
     "additionalModelRequestFields.reasoning_config"),
    ("spantap.request.reasoning_budget", "thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget",
     "generationConfig.thinkingConfig.thinking_budget", "additionalModelRequestFields.thinking.budget_tokens",
     "additionalModelRequestFields.reasoning_config.budget_tokens"),
    ("gen_ai.request.previous_response.id", "previous_response_id"),
    ("gen_ai.prompt.name", "prompt.id"),
    ("gen_ai.prompt.version", "prompt.version"),
    ("gen_ai.embeddings.dimension.count", "dimensions", "output_dimension", "requests.outputDimensionality",
     "singleEmbeddingParams.embeddingDimension"),
    ("aws.bedrock.guardrail.id", "guardrailConfig.guardrailIdentifier"),
)

# (attribute, where the answer's object, or an event of it, has it): the last that is said counts.
RESPONSE = (
    ("gen_ai.usage.text.input_tokens", "usage.prompt_tokens_details.text_tokens"),
    ("gen_ai.usage.image.input_tokens", "usage.prompt_tokens_details.image_tokens", "usage.tokens.image_tokens",
     "usage.billed_units.image_tokens", "meta.billed_units.image_tokens"),
    ("gen_ai.usage.audio.input_tokens", "usage.prompt_tokens_details.audio_tokens"),
    ("spantap.usage.video.input_tokens", "usage.prompt_tokens_details.video_tokens"),
    ("gen_ai.usage.text.output_tokens", "usage.completion_tokens_details.text_tokens"),
    ("gen_ai.usage.image.output_tokens", "usage.completion_tokens_details.image_tokens"),
    ("gen_ai.usage.audio.output_tokens", "usage.completion_tokens_details.audio_tokens"),
    ("spantap.usage.prediction_accepted.output_tokens", "usage.completion_tokens_details.accepted_prediction_tokens"),
    ("spantap.usage.prediction_rejected.output_tokens", "usage.completion_tokens_details.rejected_prediction_tokens"),
    ("spantap.usage.cache_creation_1h.input_tokens", "usage.cache_creation.ephemeral_1h_input_tokens"),
    ("spantap.usage.web_searches", "usage.server_tool_use.web_search_requests", "tool_usage.web_search.num_requests"),
    ("spantap.usage.web_fetches", "usage.server_tool_use.web_fetch_requests"),
    ("spantap.usage.server_tools", "usage.num_server_side_tools_used"),
    ("spantap.usage.tool.input_tokens", "usageMetadata.toolUsePromptTokenCount"),
    ("openai.response.system_fingerprint", "system_fingerprint"),
)
MODALITIES = (("usageMetadata.promptTokensDetails", "input_tokens"), ("usageMetadata.candidatesTokensDetails", "output_tokens"))

MODALITY_NUMBERS = {1: "text", 2: "image", 3: "video", 4: "audio"}  # with enum-encoding=int


def at(v, path):
    for name in path.split("."):
        v = v[0] if isinstance(v, list) and v else v
        v = v.get(name) if isinstance(v, dict) else None
    return v


def text_of(message, preserved):
    return (exchanges.plain(*exchanges.body_of(message, preserved)) or b"").decode("utf-8", "replace")


def values(text):
    """The objects of an answer: itself, of an array or a stream each; of an event that carries the response, that."""
    try:
        found = json.loads(text)
        found = found if isinstance(found, list) else [found]
    except ValueError:
        found = []
        for line in text.splitlines():
            line = line.removeprefix("data:").strip()
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
    for v in found:
        if isinstance(v, dict):
            yield v
            for inner in ("response", "message"):
                if isinstance(v.get(inner), dict):
                    yield v[inner]


def number_or_text(v):
    return v if isinstance(v, str) or (isinstance(v, (int, float)) and not isinstance(v, bool)) else None


def request(x):
    try:
        body = json.loads(text_of(x.item["request"], False))
    except ValueError:
        return {}
    found = {}
    headers = {name.lower(): value for name, value in exchanges.fields(x.item["request"].get("headers"))}
    for name, *paths in REQUEST:
        said = [number_or_text(at(body, p)) for p in paths]
        found[name] = next((v for v in said if v is not None), None)
    found["aws.bedrock.guardrail.id"] = found["aws.bedrock.guardrail.id"] or headers.get("x-amzn-bedrock-guardrailidentifier")
    return found


def response(x):
    """Nothing where the answer is in frames that are not read here."""
    if x.expect.get("stream_framing") == "aws_eventstream":
        return {}
    found = {name: None for name, *_ in RESPONSE}
    for v in values(text_of(x.item["response"], x.item.get("capture", {}).get("encoding_preserved"))):
        for name, *paths in RESPONSE:
            said = [number_or_text(at(v, p)) for p in paths]
            found[name] = next((one for one in said if one not in (None, "")), found[name])
        for path, what in MODALITIES:
            for one in at(v, path) or []:
                kind = MODALITY_NUMBERS.get(one.get("modality"), str(one.get("modality"))).lower()
                space = "spantap" if kind == "video" else "gen_ai"
                if f"{space}.usage.{kind}.{what}" in found and "tokenCount" in one:
                    found[f"{space}.usage.{kind}.{what}"] = one["tokenCount"]
    return found
