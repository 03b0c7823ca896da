// The centre that rq codes of l2 are relative to (codec/rq_codec.h).
#include <algorithm>
#include <vector>

#include "base/round.h"
#include "codec/rq_codec.h"
#include "index_impl.h"

namespace shoal {

// Before the start point is made, no row is encoded.
void IndexImpl::CentreOn(MatrixView rows) {
  constexpr size_t kSample = 1000;
  RqCodec* const codec = rows_.centred();
  if (codec == nullptr || rows.rows() == 0) return;
  const MutexLock lock(starting_);
  if (graph_.start() != kNoSlot || codec->current_set() != 0) return;  // Set 1: it has a centre.
  std::vector<std::byte> sample;
  const size_t step = DivideUp(rows.rows(), kSample);
  for (size_t i = 0; i < rows.rows(); i += step) {
    if (!check_.Vector(rows[i], "row")) continue;
    const auto* const row = static_cast<const std::byte*>(rows[i].data());
    sample.insert(sample.end(), row, row + rows.row_bytes());
  }
  if (sample.empty()) return;
  const size_t n = sample.size() / rows.row_bytes();
  if (codec->AddCentre(codec->MeanOf({sample.data(), rows.type(), n, rows.dim()})))
    codec->DropCentre(0);
}

}  // namespace shoal
