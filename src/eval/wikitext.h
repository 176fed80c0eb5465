// WikiText-2 as lm-eval 0.4.13's `wikitext`: perplexity a word and a byte of whole pages, whose
// text is put back as it was before tokenisation while words and bytes are counted as distributed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eval/task.h"

namespace dovetail::eval {

// Errors: kInvalidArgument if the page is not UTF-8.
[[nodiscard]] Result<std::string> detokenized_page(std::string_view page);

struct PageSize {
  int64_t num_words = 0;
  int64_t num_bytes = 0;
};
// lm_eval counts the empty pieces before and behind a page as words, fixed does not.
[[nodiscard]] Result<PageSize> page_size(std::string_view page, ScoringMode mode);

// A question a page; its prompt is the detokenized page, its target the page.
// Errors: those of the parameters; examples and chat templates are refused.
[[nodiscard]] Result<Task> wikitext_task(const std::vector<std::string>& pages,
                                         const TaskParams& params);

}  // namespace dovetail::eval
