#include "persist/snapshot_codecs.h"

#include <string>

#include "codec/make_codec.h"
#include "codec/rq_codec.h"

namespace shoal {

Result<SnapshotCodecs> MakeSnapshotCodecs(const SnapshotReader& reader) {
  const SnapshotHeader& header = reader.header();
  const IndexOptions& o = header.options;
  std::vector<std::byte> block;
  if (header.parameter_bytes() > 0)
    if (Status ok = reader.ReadBlock(SnapshotSection::kParameters, 0, block); !ok)
      return tl::unexpected(ok.error());
  const std::span<const std::byte> parameters(block);
  SnapshotCodecs codecs;
  const auto make = [&](Code code, const SnapshotCodec& saved, size_t at,
                        std::unique_ptr<Codec>& codec) -> Status {
    const auto own = parameters.subspan(at, saved.parameter_bytes);
    const bool is_rq =
        code == Code::kRq1 || code == Code::kRq2 || code == Code::kRq3 || code == Code::kRq4;
    if (is_rq && RqCodec::IsOfOlderVersion(o.metric, own))
      return MakeError(ErrorCode::kUnsupported, reader.file().path().string() + ": " +
                                                    std::string(CodeName(code)) + " codes under " +
                                                    std::string(MetricName(o.metric)) +
                                                    " of an older version: build the index anew");
    codec = MakeCodec(code, o.scalar_type, o.metric, o.dim, own);
    const bool has_rows = code != Code::kNone;
    if (codec == nullptr || saved.row_bytes != (has_rows ? codec->row_bytes() : 0))
      return reader.Broken(
          SnapshotSection::kParameters, 0, at, CodeName(code),
          "parameters of this code, for rows of " + std::to_string(saved.row_bytes) + " bytes",
          "others");
    codec->RaiseMaxNormSq(saved.max_norm_sq);
    return {};
  };
  Status ok = make(o.code, header.traversal, 0, codecs.traversal);
  if (ok && o.rerank_code != o.code && header.has_slots == 0)
    ok = make(o.rerank_code, header.rerank, header.traversal.parameter_bytes, codecs.rerank);
  if (!ok) return tl::unexpected(ok.error());
  return codecs;
}

}  // namespace shoal
