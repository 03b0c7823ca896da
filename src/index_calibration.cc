// The index as what is calibrated: its live points, and its searches.
#include "index_impl.h"

namespace shoal {

class IndexImpl::Calibrated final : public CalibrationSubject {
 public:
  explicit Calibrated(const IndexImpl& index) : index_(index) {}

  const IndexOptions& options() const override { return index_.options_; }
  bool reranks() const override { return index_.rows_.has_rerank(); }
  size_t points() const override { return index_.size(); }
  uint64_t arrivals() const override { return index_.commits_.load(std::memory_order_relaxed); }
  std::vector<SlotId> Live() const override { return index_.LiveSlots(); }

  Result<std::optional<ExternalId>> Copy(SlotId slot, MutableVectorView out) const override {
    auto guard =
        index_.epochs_.Pin();  // Before the tag is read: the row stands while it is copied.
    if (index_.slots_.tag(slot) != Tag::kLive) return std::nullopt;
    const ExternalId id = index_.slots_.external_id(slot);
    const Status copied = index_.CopyVector({slot, id}, out, guard);
    if (copied) return id;
    if (copied.error().code == ErrorCode::kNotFound) return std::nullopt;
    return tl::unexpected(copied.error());
  }

  Result<size_t> Run(VectorView query, const SearchPlan& plan, std::span<ExternalId> ids,
                     std::span<float> distances, WorkCounters* work) const override {
    return index_.Run(query, plan, ids, distances, work);
  }

 private:
  const IndexImpl& index_;
};

std::unique_ptr<CalibrationSubject> IndexImpl::MakeCalibrated() const {
  return std::make_unique<Calibrated>(*this);
}

}  // namespace shoal
