#include "mutate.h"

#include <cstring>
#include <iterator>
#include <vector>

#include "base/random.h"

namespace dovetail::fuzz {
namespace {

// Enough for any input that a fuzzer makes; bounds the time of one change.
constexpr size_t kMostNodes = 4000;
constexpr size_t kLengthBytes = sizeof(uint64_t);

template <typename List>
auto& random_of(List& list, Random& random) {
  return list[static_cast<size_t>(random.below(static_cast<int64_t>(std::size(list))))];
}

void collect(Json& node, std::vector<Json*>& nodes) {
  if (nodes.size() >= kMostNodes) return;
  nodes.push_back(&node);
  if (node.is_structured()) {
    for (auto& child : node) collect(child, nodes);
  }
}

Json unusual_value(Random& random) {
  const Json values[] = {nullptr,
                         true,
                         false,
                         0,
                         1,
                         -1,
                         2,
                         2147483648,
                         9223372036854775807,
                         18446744073709551615U,
                         0.5,
                         1e308,
                         -1e-308,
                         "",
                         "a",
                         "</script><script>",
                         "{{record}}",
                         std::string(300, 'x'),
                         Json::array(),
                         Json::object(),
                         {1, 2, 3},
                         {{"a", 1}},
                         {{"type", "NFC"}},
                         "F8_E4M3",
                         "\xc3\xa9\xcc\x81"};
  return random_of(values, random);
}

void change_child(Json& node, Random& random, const std::vector<Json*>& nodes) {
  if (!node.is_structured() || node.empty()) {
    node = unusual_value(random);
    return;
  }
  const auto index = random.below(static_cast<int64_t>(node.size()));
  const auto child = std::next(node.begin(), index);
  switch (random.below(5)) {
    case 0:
      node.erase(child);
      break;
    case 1:
      *child = unusual_value(random);
      break;
    case 2: {
      const Json copy = *random_of(nodes, random);  // before anything moves
      *child = copy;
      break;
    }
    case 3: {
      const Json copy = *child;
      if (node.is_array()) {
        node.push_back(copy);
      } else {
        node["another"] = copy;
      }
      break;
    }
    default:
      if (child->is_number_integer()) {
        // As unsigned, where going past the end is defined.
        *child = static_cast<int64_t>(child->get<uint64_t>() + random.next() % 5 - 2);
      } else {
        std::swap(*child, *node.begin());
      }
  }
}

std::string mutate_json(std::string_view text, Random& random) {
  Json tree = Json::parse(text, nullptr, false);
  if (tree.is_discarded()) return {};
  const auto num_changes = 1 + random.below(3);
  for (int64_t i = 0; i < num_changes; ++i) {
    std::vector<Json*> nodes;
    collect(tree, nodes);
    change_child(*random_of(nodes, random), random, nodes);
  }
  return tree.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string mutate_safetensors(std::string_view input, Random& random) {
  uint64_t length = 0;
  if (input.size() < kLengthBytes) return {};
  std::memcpy(&length, input.data(), kLengthBytes);
  if (length > input.size() - kLengthBytes) return {};
  const std::string header = mutate_json(input.substr(kLengthBytes, length), random);
  if (header.empty()) return {};
  const std::string_view data = input.substr(kLengthBytes + length);
  length = header.size();
  std::string changed(kLengthBytes, '\0');
  std::memcpy(changed.data(), &length, kLengthBytes);
  return changed.append(header).append(data);
}

// Overwrites a number of 4 or 8 bytes at a place that looks like one: three zero bytes in a row are
// the upper part of a small length, count, type or offset.
std::string mutate_gguf(std::string_view input, Random& random) {
  std::vector<size_t> places;
  for (size_t i = 0; i + kLengthBytes <= input.size() && places.size() < kMostNodes; ++i) {
    if (input.substr(i + 1, 3) == std::string_view("\0\0\0", 3)) places.push_back(i);
  }
  if (places.empty()) return {};
  const size_t at = random_of(places, random);
  const uint64_t values[] = {0,
                             1,
                             2,
                             4,
                             8,
                             9,
                             32,
                             255,
                             input.size(),
                             uint64_t{1} << 31,
                             uint64_t{1} << 32,
                             ~uint64_t{0} >> 1,
                             ~uint64_t{0},
                             random.next() % 64,
                             static_cast<uint64_t>(static_cast<uint8_t>(input[at])) + 1,
                             static_cast<uint64_t>(static_cast<uint8_t>(input[at])) - 1};
  const uint64_t value = random_of(values, random);
  std::string changed(input);
  std::memcpy(changed.data() + at, &value, random.below(2) == 0 ? 4 : kLengthBytes);
  return changed;
}

}  // namespace

std::string mutate(Shape shape, std::string_view input, uint64_t seed) {
  Random random(seed);
  if (random.below(2) == 0) return {};
  switch (shape) {
    case Shape::kBytes:
      return {};
    case Shape::kJson:
      return mutate_json(input, random);
    case Shape::kSafetensors:
      return mutate_safetensors(input, random);
    case Shape::kGguf:
      return mutate_gguf(input, random);
  }
  return {};
}

}  // namespace dovetail::fuzz
