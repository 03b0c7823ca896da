// The centre that rq codes are relative to (codec/rq_codec.h): the first one, and another one
// when the vectors have moved away from it.
//
// PROBLEM. All rows are to be encoded anew, while searches read them and writers come and go. A row
// never changes while a search can read it. A search knows the sets of parameters that were alive
// when its query was bound; rows of any other set are infinitely far from it.
//
// IDEA. Points are moved, as Compact moves them: a search finds each in one of its slots. Between
// two phases (centre_renewal.h) there is a grace period of the epochs, in which every guard that is
// older than the phase leaves:
//
//   kAnnounced  Bindings know both sets. When all do, rows begin to be encoded with the new one: no
//               search ever meets a row of a set that it does not know.
//   kMoving     Threads take slots one by one, and move the points whose rows are old. Meanwhile
//               all threads that were encoding an old row leave. What is prepared without a guard
//               is encoded anew when it is committed (RefreshRow): so from now on no slot comes to
//               have an old row.
//   kClearing   A pass over all slots. It stands at a slot that has an old row until the slot is
//               retired. What is behind it stays as it is.
//   kLeaving    Searches that found a slot readable before it was retired leave.
//   kDropped    The old set is not alive. Threads that bind or encode by it leave; then its place
//               may be filled anew.
//
// Where hits are ordered by the codes themselves there is nothing to encode from: the centre stays.
// So it does in a database, which names points by their slots, while it is open (index_restore.cc).
#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "base/hooks.h"
#include "base/parallel.h"
#include "base/round.h"
#include "codec/rq_codec.h"
#include "index_impl.h"

namespace shoal {
namespace {

using Phase = CentreRenewal::Phase;

// Points that a thread moves, and slots that it looks at, at a time. (Guessed.)
constexpr size_t kMoves = 4, kLooks = 1024;

// Up to 1,000 of the rows that `check` lets pass, evenly spread.
std::vector<std::byte> SampleOf(MatrixView rows, const VectorCheck& check) {
  constexpr size_t kSample = 1000;
  std::vector<std::byte> sample;
  const size_t step = DivideUp(rows.rows(), kSample);
  for (size_t i = 0; i < rows.rows(); i += step) {
    if (!check.Vector(rows[i], "row")) continue;
    const auto* const row = static_cast<const std::byte*>(rows[i].data());
    sample.insert(sample.end(), row, row + rows.row_bytes());
  }
  return sample;
}

}  // namespace

// --- What is encoded.

// Set 1, of a codec that has set 0 alone, by which no row is encoded yet.
void IndexImpl::BeginAtMeanOf(MatrixView sample) {
  RqCodec& codec = *rows_.centred();
  if (codec.current_set() != 0) return;
  const std::vector<float> mean = codec.MeanOf(sample);
  const MutexLock step(renewal_.stepping);
  const auto guard = epochs_.Pin();
  if (!codec.AddCentre(mean)) return;
  codec.DropCentre(0);
  renewal_.watch.SetCentre(mean);
  EnterPhase(Phase::kDropped, guard);
  repairs_.Wake();
}

// Before the start point is made, no row is encoded.
void IndexImpl::NoteBatch(MatrixView rows) {
  RqCodec* const codec = rows_.centred();
  if (codec == nullptr || rows.rows() == 0) return;
  // In a database the first centre stays: nothing else is watched.
  if (slots_.HasReuseGate() && graph_.start() != kNoSlot) return;
  const std::vector<std::byte> bytes = SampleOf(rows, check_);
  if (bytes.empty()) return;
  const MatrixView sample(bytes.data(), rows.type(), bytes.size() / rows.row_bytes(), rows.dim());
  {
    const MutexLock lock(starting_);
    if (graph_.start() == kNoSlot) BeginAtMeanOf(sample);
  }
  renewal_.watch.NoteMany(sample, rows.rows(), size() + rows.rows());
  BeginRenewal();
}

void IndexImpl::NoteVector(VectorView vector) {
  if (rows_.centred() != nullptr && rows_.has_rerank() && renewal_.watch.Note(vector, size()))
    BeginRenewal();
}

// Of the points, of which the watch knows nothing yet.
void IndexImpl::ResumeRenewal() {
  RqCodec* const codec = rows_.centred();
  if (codec == nullptr) return;
  renewal_.watch.SetCentre(codec->CentreOf(codec->current_set()));
  if (!rows_.has_rerank()) return;
  constexpr size_t kSample = 1000;
  const std::vector<SlotId> live = LiveSlots();
  const size_t step = std::max<size_t>(1, DivideUp(live.size(), kSample));
  // Vectors of a feature store are not fetched: their codes will do.
  const bool decodes = rows_.stored() != nullptr;
  const ScalarType type = decodes ? ScalarType::kFloat32 : options_.scalar_type;
  const size_t row_bytes = VectorView(nullptr, type, options_.dim).bytes();
  std::vector<std::byte> sample(DivideUp(live.size(), step) * row_bytes);
  for (size_t i = 0; i * step < live.size(); ++i) {
    const MutableVectorView to(sample.data() + i * row_bytes, type, options_.dim);
    if (decodes) {
      codec->Decode(rows_.traversal().Row(live[i * step]), to);
    } else {
      CopyRow(live[i * step], to);
    }
  }
  if (!live.empty())
    renewal_.watch.NoteMany({sample.data(), type, sample.size() / row_bytes, options_.dim},
                            live.size(), live.size());
  const uint32_t other = 1 - codec->current_set();
  if (!codec->IsAlive(other)) return;
  const MutexLock lock(renewal_.stepping);
  const auto guard = epochs_.Pin();
  renewal_.old = other;
  EnterPhase(Phase::kMoving, guard);
  repairs_.Wake();
}

// --- The protocol.

void IndexImpl::BeginRenewal() {
  if (!rows_.has_rerank() || slots_.HasReuseGate() || renewal_.active() ||
      !renewal_.watch.HasMoved())
    return;
  RqCodec& codec = *rows_.centred();
  std::vector<float> mean;
  try {
    mean = renewal_.watch.Mean();
  } catch (const std::bad_alloc&) {  // At one of the next vectors.
    return;
  }
  if (!renewal_.stepping.TryLock()) return;
  const auto guard = epochs_.Pin();
  if (!renewal_.active() && codec.AnnounceCentre(mean)) {
    renewal_.watch.SetCentre(mean);
    renewal_.old = codec.current_set();
    EnterPhase(Phase::kAnnounced, guard);
  }
  renewal_.stepping.Unlock();
  repairs_.Wake();
}

// `guard`: the caller's, which it has held since before it changed what the phase is about.
void IndexImpl::EnterPhase(Phase phase, const EpochRegistry::Guard& guard) {
  renewal_.since = guard.epoch();
  renewal_.next.store(0, std::memory_order_relaxed);
  renewal_.cleared = 0;
  renewal_.phase.store(phase, std::memory_order_release);
}

// The caller holds no guard: the epoch could not advance.
bool IndexImpl::StepRenewal() {
  if (!renewal_.stepping.TryLock()) return false;
  const bool stepped = StepRenewalLocked();
  renewal_.stepping.Unlock();
  if (stepped) BeginRenewal();  // The vectors may have moved on.
  return stepped;
}

bool IndexImpl::StepRenewalLocked() {
  RqCodec& codec = *rows_.centred();
  const Phase phase = renewal_.Now();
  if (phase == Phase::kIdle) return false;
  if (phase == Phase::kClearing) {
    slots_.Reclaim();
    if (!ClearSome()) return false;
    if (renewal_.cleared >= slots_.high_water()) EnterPhase(Phase::kLeaving, epochs_.Pin());
    return true;
  }
  if (phase == Phase::kMoving &&
      renewal_.next.load(std::memory_order_relaxed) < slots_.high_water())
    return false;
  epochs_.TryAdvance();
  if (epochs_.Current() < renewal_.since + EpochRegistry::kGracePeriod) return false;
  const auto guard = epochs_.Pin();
  switch (phase) {
    case Phase::kAnnounced:
      codec.UseCentre(1 - renewal_.old);
      renewal_.count.fetch_add(1, std::memory_order_release);
      SHOAL_SYNC_POINT("renewal.used");
      EnterPhase(Phase::kMoving, guard);
      break;
    case Phase::kMoving: EnterPhase(Phase::kClearing, guard); break;
    case Phase::kLeaving:
      codec.DropCentre(renewal_.old);
      EnterPhase(Phase::kDropped, guard);
      break;
    case Phase::kDropped: EnterPhase(Phase::kIdle, guard); break;
    case Phase::kIdle:
    case Phase::kClearing: break;
  }
  return true;
}

// Passes slots that have no old row. False: it stands at one that has.
bool IndexImpl::ClearSome() {
  const SlotId end = slots_.high_water();
  SlotId live = kNoSlot;
  {
    const auto guard = epochs_.Pin();  // What is readable stays so.
    for (size_t looks = 0; looks < kLooks && renewal_.cleared < end; ++looks, ++renewal_.cleared) {
      const SlotId slot = renewal_.cleared;
      const Tag tag = slots_.tag(slot);
      if ((tag != Tag::kLive && tag != Tag::kDeleted) || !rows_.IsStale(slot)) continue;
      if (tag == Tag::kDeleted) return false;
      live = slot;
      break;
    }
  }
  if (live != kNoSlot) MoveToNewCentre(live);
  return live == kNoSlot;
}

// False: there was nothing to do, or no memory for it.
bool IndexImpl::RenewSome() {
  if (!renewal_.active()) return false;
  bool done = false;
  for (size_t looks = 0, moved = 0; looks < kLooks && moved < kMoves; ++looks) {
    const SlotId end = slots_.high_water();
    if (renewal_.Now() != Phase::kMoving || renewal_.next.load(std::memory_order_relaxed) >= end)
      break;
    done = true;
    const SlotId slot = renewal_.next.fetch_add(1, std::memory_order_relaxed);
    if (slot < end && MoveToNewCentre(slot)) ++moved;
  }
  return StepRenewal() || done;
}

// After a write.
void IndexImpl::AfterWrite() {
  if (!renewal_.active() || options_.runtime.repair == RepairPolicy::kBackground) return;
  if (options_.runtime.repair == RepairPolicy::kImmediate) {
    RenewSome();
  } else if (renewal_.Now() != Phase::kMoving && renewal_.Now() != Phase::kClearing) {
    StepRenewal();  // The rest is for Consolidate.
  }
}

// Moves all points whose rows are old; what they leave is to be repaired.
void IndexImpl::MoveAllToNewCentre(const BatchOptions& batch) {
  for (uint64_t i = 0; i <= EpochRegistry::kGracePeriod; ++i)
    if (renewal_.Now() == Phase::kAnnounced) StepRenewal();
  if (renewal_.Now() != Phase::kMoving) return;
  const size_t threads = batch.threads == 0 ? AvailableCpus() : batch.threads;
  ParallelFor(threads, threads, 1, {}, [&](size_t, size_t) {
    while (!batch.stop.stop_requested() && renewal_.Now() == Phase::kMoving && RenewSome()) {
    }
  });
}

// As far as readers and memory let it.
void IndexImpl::FinishRenewal() {
  constexpr size_t kTries = 8;
  for (size_t failed = 0; renewal_.active() && failed < kTries;)
    failed = RenewSome() ? 0 : failed + 1;
}

// --- Rows.

// Moves the point in a slot, if it is live and its row is old, to another. False: it is not, or
// there is no memory.
bool IndexImpl::MoveToNewCentre(SlotId from) {
  const auto is_old = [&] { return slots_.tag(from) == Tag::kLive && rows_.IsStale(from); };
  {
    const auto guard = epochs_.Pin();
    if (!is_old()) return false;
  }
  std::optional<OwnedSlot> slot = slots_.Acquire();
  if (!slot) return false;
  auto guard = epochs_.Pin();
  try {
    return is_old() && Relocate(from, std::move(*slot), guard);
  } catch (const std::bad_alloc&) {  // Later.
    return false;
  }
}

Status IndexImpl::RefreshRow(PreparedInsert& prepared, Operation& op) {
  const uint64_t count = renewal_.Count();
  if (prepared.renewals_ == count) return {};
  prepared.renewals_ = count;
  if (rows_.centred() == nullptr || !rows_.has_rerank()) return {};
  return Recode(prepared.slot_.id(), op);
}

Status IndexImpl::Recode(SlotId slot, Operation& op) {
  std::vector<std::byte> buffer(VectorView(nullptr, options_.scalar_type, options_.dim).bytes());
  const MutableVectorView vector(buffer.data(), options_.scalar_type, options_.dim);
  if (const StoredVectors* const stored = rows_.stored()) {
    if (Status copied = stored->Copy({slot, slots_.external_id(slot)}, vector, op); !copied)
      return copied;
  } else {
    CopyRow(slot, vector);
  }
  rows_.EncodeForTraversal(vector, slot);
  return {};
}

Status IndexImpl::CheckSets() const {
  const RqCodec* const codec = rows_.centred();
  if (codec == nullptr) return {};
  for (const SlotId slot : LiveSlots()) {
    const uint32_t set = codec->SetOf(rows_.traversal().Row(slot));
    if (!codec->IsAlive(set))
      return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) +
                                                " has a row of a set that was dropped, " +
                                                std::to_string(set));
  }
  return {};
}

}  // namespace shoal
