#include "bindings/valkey/module/rewrite.h"

#include <cstring>
#include <vector>

#include "bindings/valkey/module/settings.h"

namespace shoal::vset_module {

namespace {

constexpr size_t kHeader = 2 * sizeof(float);

// Strings for a server, freed at the end.
class Words {
 public:
  Words() = default;
  ~Words() {
    for (redis::String* word : words_) redis::FreeString(nullptr, word);
  }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  void Add(std::string_view text) {
    words_.push_back(redis::CreateString(nullptr, text.data(), text.size()));
  }
  void Add(size_t number) { Add(std::to_string(number)); }
  redis::String** data() { return words_.data(); }
  size_t size() const { return words_.size(); }

 private:
  std::vector<redis::String*> words_;
};

}  // namespace

void EmitElements(redis::Io* io, redis::String* key, const vset::VectorSet& set) {
  const vset::VectorSetOptions& options = set.options();
  const std::string command = CommandName("VADD");
  set.ForEach([&](const vset::ElementView& element) {
    Words words;
    if (options.encoding.input_dim != 0) {
      words.Add("REDUCE");
      words.Add(size_t{options.encoding.dim});
    }
    words.Add("XENCODED");
    words.Add(size_t{set.encoding().input_dim()});
    words.Add(ToBlob(element.vector));
    words.Add(element.name);
    words.Add(WordOf(options.encoding.quantization));
    words.Add("EF");
    words.Add(size_t{options.build_ef});
    words.Add("M");
    words.Add(size_t{options.links});
    words.Add("XDISTANCE_METRIC");
    words.Add(WordOf(options.encoding.similarity));
    if (!element.attribute.empty()) {
      words.Add("SETATTR");
      words.Add(element.attribute);
    }
    redis::EmitAOF(io, command.c_str(), "sv", key, words.data(), words.size());
  });
}

std::string ToBlob(const vset::EncodedView& vector) {
  std::string blob(kHeader + vector.bytes.size(), '\0');
  std::memcpy(blob.data(), &vector.norm, sizeof(float));
  std::memcpy(blob.data() + sizeof(float), &vector.range, sizeof(float));
  std::memcpy(blob.data() + kHeader, vector.bytes.data(), vector.bytes.size());
  return blob;
}

std::optional<vset::EncodedVector> FromBlob(std::string_view blob) {
  if (blob.size() < kHeader) return std::nullopt;
  vset::EncodedVector vector;
  std::memcpy(&vector.norm, blob.data(), sizeof(float));
  std::memcpy(&vector.range, blob.data() + sizeof(float), sizeof(float));
  const auto bytes = std::as_bytes(std::span(blob.substr(kHeader)));
  vector.bytes.assign(bytes.begin(), bytes.end());
  return vector;
}

const char* WordOf(vset::Quantization quantization) {
  switch (quantization) {
    case vset::Quantization::kFloat32: return "NOQUANT";
    case vset::Quantization::kInt8: return "Q8";
    case vset::Quantization::kBinary: return "BIN";
  }
  return "";
}

const char* WordOf(vset::Similarity similarity) {
  switch (similarity) {
    case vset::Similarity::kCosine: return "COSINE";
    case vset::Similarity::kL2: return "L2";
    case vset::Similarity::kInnerProduct: return "IP";
  }
  return "";
}

}  // namespace shoal::vset_module
