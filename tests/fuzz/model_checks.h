// Promises of loaded models and tokenizers, whatever file they came from.
#pragma once

#include <string>
#include <string_view>

#include "model/model.h"
#include "model/tokenizer_parts.h"

namespace dovetail::fuzz {

// Every count inside the range that ModelShape states, and no product of them overflows.
void require_sound(const model::ModelShape& shape);
// Sizes as the shape says, every value finite.
void require_sound(const model::Weights& weights);

// Loads the tokenizer at `path`, whose parts are `parts`, and encodes `text`: ids lie in the
// vocabulary; decoding gives the text back where the vocabulary makes that possible.
void require_sound_tokenizer(const std::string& path, const Result<model::TokenizerParts>& parts,
                             std::string_view text);

}  // namespace dovetail::fuzz
