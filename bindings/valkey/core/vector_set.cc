// What the owner does: names, attributes, vectors.
#include "vector_set.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <utility>

#include "vector_set_impl.h"

namespace shoal::vset {
namespace {

tl::unexpected<Error> OutOfRange(const char* field, uint64_t least, uint64_t most, uint64_t found) {
  return MakeError(ErrorCode::kInvalidArgument, std::string(field) + ": " + std::to_string(least) +
                                                    " to " + std::to_string(most) +
                                                    " expected, found " + std::to_string(found));
}

constexpr size_t kFew = 64;

size_t BlockBytes(size_t bytes) { return bytes + kBlockOverhead; }

}  // namespace

VectorSet::Impl::~Impl() {
  for (Slot slot = 0; slot < table_.end(); ++slot) {
    Element* const element = table_.At(slot);
    if (element == nullptr) continue;
    ::operator delete(element->vector.load(std::memory_order_relaxed));
    ::operator delete(element);
  }
}

const Element* VectorSet::Impl::Find(std::string_view name) const {
  const std::optional<Slot> slot = order_.Find(name);
  return slot ? table_.At(*slot) : nullptr;
}

std::optional<Tail::Kind> VectorSet::Impl::KindOf(const Element& element) const {
  const EncodedView vector{{}, element.norm, element.range};
  if (element.vector.load(std::memory_order_relaxed) == nullptr) return std::nullopt;  // Linked.
  if (encoding_.options().dim > shoal::kMaxDim) return std::nullopt;
  return encoding_.IsIndexable(vector) ? Tail::Kind::kLinkable : Tail::Kind::kZero;
}

std::byte* VectorSet::Impl::CopyVector(const EncodedView& vector) {
  auto* const bytes = static_cast<std::byte*>(::operator new(vector.bytes.size()));
  std::ranges::copy(vector.bytes, bytes);
  CountBytes(static_cast<std::ptrdiff_t>(BlockBytes(vector.bytes.size())));
  return bytes;
}

void VectorSet::Impl::RetireElement(Element* element) {
  const size_t bytes = BlockBytes(element->bytes());
  CountBytes(-static_cast<std::ptrdiff_t>(bytes));
  reclaimer_.Retire(element, bytes);
}

bool VectorSet::Impl::Withdraw(Element& element) {
  if (const std::optional<Tail::Kind> kind = KindOf(element)) tail_.Remove(element, *kind);
  std::byte* const vector = element.vector.load(std::memory_order_relaxed);
  if (vector == nullptr) return true;
  // Searches that have found the element may compare the vector yet.
  const size_t bytes = BlockBytes(encoding_.bytes());
  CountBytes(-static_cast<std::ptrdiff_t>(bytes));
  reclaimer_.Retire(vector, bytes);
  return false;
}

AddOutcome VectorSet::Impl::Add(std::string_view name, const EncodedView& vector,
                                std::optional<std::string_view> attribute) {
  const std::optional<Slot> known = order_.Find(name);
  const Slot slot = known ? *known : table_.Acquire();
  Element* const old = known ? table_.At(slot) : nullptr;
  if (!attribute) attribute = old != nullptr ? old->attribute() : std::string_view();
  const auto version = static_cast<uint32_t>(added_.fetch_add(1, std::memory_order_relaxed));
  Element* const fresh = Element::Make(MakeVectorId(version, slot), name, *attribute, vector);
  CountBytes(static_cast<std::ptrdiff_t>(BlockBytes(fresh->bytes())));
  fresh->vector.store(CopyVector(vector), std::memory_order_relaxed);
  if (!attribute->empty()) attributes_.fetch_add(1, std::memory_order_relaxed);
  if (old != nullptr && old->attribute_size != 0)
    attributes_.fetch_sub(1, std::memory_order_relaxed);

  bool was_linked = false;
  VectorId old_id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (old != nullptr) {
      old_id = old->id;
      was_linked = Withdraw(*old);
      updated_[updates_++ % kLoggedUpdates] = slot;
    }
    table_.Set(slot, fresh);
    if (const auto kind = KindOf(*fresh)) tail_.Add(*fresh, *kind);
    if (old != nullptr) RetireElement(old);
    reclaimer_.Collect();
  }
  // For want of memory the old vector stays in the graph, where searches skip it.
  if (was_linked) (void)index()->Delete(old_id);
  if (known) return AddOutcome::kUpdated;
  order_.Insert(name, slot);
  size_.fetch_add(1, std::memory_order_relaxed);
  return AddOutcome::kAdded;
}

bool VectorSet::Impl::Remove(std::string_view name) {
  const std::optional<Slot> slot = order_.Find(name);
  if (!slot) return false;
  order_.Erase(name);  // `name` may be the element's own.
  Element* const element = table_.At(*slot);
  const VectorId id = element->id;
  size_.fetch_sub(1, std::memory_order_relaxed);
  if (element->attribute_size != 0) attributes_.fetch_sub(1, std::memory_order_relaxed);
  bool was_linked = false;
  {
    const std::lock_guard lock(mutex_);
    was_linked = Withdraw(*element);
    table_.Release(*slot);
    RetireElement(element);
    reclaimer_.Collect();
  }
  if (was_linked) (void)index()->Delete(id);  // As in Add.
  return true;
}

bool VectorSet::Impl::SetAttribute(std::string_view name, std::string_view attribute) {
  const std::optional<Slot> slot = order_.Find(name);
  if (!slot) return false;
  Element* const old = table_.At(*slot);
  Element* const fresh =
      Element::Make(old->id, old->name(), attribute, {{}, old->norm, old->range});
  CountBytes(static_cast<std::ptrdiff_t>(BlockBytes(fresh->bytes())));
  if (!attribute.empty()) attributes_.fetch_add(1, std::memory_order_relaxed);
  if (old->attribute_size != 0) attributes_.fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);  // Link may be about to take the vector.
  fresh->vector.store(old->vector.load(std::memory_order_relaxed), std::memory_order_relaxed);
  fresh->position = old->position;
  table_.Set(*slot, fresh);
  RetireElement(old);
  reclaimer_.Collect();
  return true;
}

std::vector<std::string> VectorSet::Impl::RandomMembers(size_t count, Repeats repeats,
                                                        uint64_t seed) const {
  std::vector<std::string> names;
  if (size() == 0 || count == 0) return names;
  std::mt19937_64 random(seed);
  const bool may_repeat = repeats == Repeats::kYes;
  const size_t wanted = may_repeat ? count : std::min(count, size());
  names.reserve(wanted);
  std::vector<Slot> taken;
  // Few of many: slots at random, until so many are taken.
  if (size() >= table_.end() / 4 && (may_repeat || wanted <= std::min(kFew, size() / 4))) {
    while (names.size() < wanted) {
      const auto slot = static_cast<Slot>(random() % table_.end());
      if (table_.At(slot) == nullptr) continue;
      if (!may_repeat && std::ranges::find(taken, slot) != taken.end()) continue;
      if (!may_repeat) taken.push_back(slot);
      names.emplace_back(table_.At(slot)->name());
    }
    return names;
  }
  // Else a shuffle of all.
  for (Slot slot = 0; slot < table_.end(); ++slot)
    if (table_.At(slot) != nullptr) taken.push_back(slot);
  for (size_t i = 0; i < wanted; ++i) {
    const size_t first = may_repeat ? 0 : i;
    const size_t chosen = first + random() % (taken.size() - first);
    if (!may_repeat) std::swap(taken[i], taken[chosen]);
    names.emplace_back(table_.At(taken[may_repeat ? chosen : i])->name());
  }
  return names;
}

std::vector<std::string> VectorSet::Impl::Range(const NameBound& first, const NameBound& last,
                                                size_t limit) const {
  using Kind = NameBound::Kind;
  NameOrder::Position at =
      first.kind == Kind::kUnbounded
          ? order_.Begin()
          : order_.Find(first.name, first.kind == Kind::kInclusive ? NameOrder::Bound::kNotBefore
                                                                   : NameOrder::Bound::kBehind);
  std::vector<std::string> names;
  for (; names.size() < limit && !order_.IsEnd(at); at = order_.Next(at)) {
    const std::string_view name = table_.At(order_.At(at))->name();
    if (last.kind != Kind::kUnbounded &&
        (name > last.name || (last.kind == Kind::kExclusive && name == last.name)))
      break;
    names.emplace_back(name);
  }
  return names;
}

void VectorSet::Impl::ForEach(const std::function<void(const ElementView&)>& visit) const {
  const auto guard = Pin();  // Link may free blocks meanwhile.
  std::vector<std::byte> buffer(encoding_.bytes());
  for (auto at = order_.Begin(); !order_.IsEnd(at); at = order_.Next(at)) {
    const Element& element = *table_.At(order_.At(at));
    ElementView view{element.name(), {}, element.attribute()};
    if (VectorOf(element, buffer, view.vector)) visit(view);
  }
}

VectorSetMemory VectorSet::Impl::Memory() const {
  VectorSetMemory memory{.elements = sizeof(*this) + element_bytes_.load(std::memory_order_relaxed),
                         .table = table_.bytes(),
                         .order = order_.bytes(),
                         .retired = reclaimer_.bytes()};
  {
    const std::lock_guard lock(mutex_);
    memory.elements += tail_.bytes();
  }
  if (const Index* graph = index()) memory.graph = graph->Stats().memory;
  return memory;
}

VectorSetInfo VectorSet::Impl::Info() const {
  VectorSetInfo info{.options = options_,
                     .size = size(),
                     .attributes = attributes_.load(std::memory_order_relaxed),
                     .added = added_.load(std::memory_order_relaxed)};
  const Index* graph = index();
  info.graph_points = graph != nullptr ? graph->size() : 0;
  const std::lock_guard lock(mutex_);
  info.tail = encoding_.options().dim > shoal::kMaxDim ? info.size : tail_.size();
  return info;
}

Result<std::unique_ptr<VectorSet>> VectorSet::Create(const VectorSetOptions& options) {
  Result<Encoding> encoding = Encoding::Create(options.encoding);
  if (!encoding) return tl::unexpected(encoding.error());
  if (options.links < kMinLinks || options.links > kMaxLinks)
    return OutOfRange("links", kMinLinks, kMaxLinks, options.links);
  if (options.build_ef < 1 || options.build_ef > kMaxEf)
    return OutOfRange("build_ef", 1, kMaxEf, options.build_ef);
  return std::unique_ptr<VectorSet>(
      new VectorSet(std::make_unique<Impl>(options, std::move(*encoding))));
}

VectorSet::VectorSet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
VectorSet::~VectorSet() = default;

Result<AddOutcome> VectorSet::Add(std::string_view name, const EncodedView& vector,
                                  std::optional<std::string_view> attribute) {
  if (vector.bytes.size() != encoding().bytes())
    return OutOfRange("vector bytes", encoding().bytes(), encoding().bytes(), vector.bytes.size());
  if (name.size() > kMaxNameBytes) return OutOfRange("name bytes", 0, kMaxNameBytes, name.size());
  if (attribute && attribute->size() > kMaxNameBytes)
    return OutOfRange("attribute bytes", 0, kMaxNameBytes, attribute->size());
  if (size() == kMaxElements && !Contains(name)) {
    return MakeError(ErrorCode::kOutOfMemory,
                     "elements: at most " + std::to_string(kMaxElements) + " expected");
  }
  return impl_->Add(name, vector, attribute);
}

bool VectorSet::Remove(std::string_view name) { return impl_->Remove(name); }

Result<bool> VectorSet::SetAttribute(std::string_view name, std::string_view attribute) {
  if (attribute.size() > kMaxNameBytes)
    return OutOfRange("attribute bytes", 0, kMaxNameBytes, attribute.size());
  return impl_->SetAttribute(name, attribute);
}

bool VectorSet::Contains(std::string_view name) const { return impl_->Find(name) != nullptr; }

std::optional<std::string_view> VectorSet::Attribute(std::string_view name) const {
  const Element* element = impl_->Find(name);
  if (element == nullptr) return std::nullopt;
  return element->attribute();
}

std::optional<EncodedVector> VectorSet::Vector(std::string_view name) const {
  const Element* element = impl_->Find(name);
  if (element == nullptr) return std::nullopt;
  const auto guard = impl_->Pin();  // Link may free the block.
  EncodedVector copy{.bytes = std::vector<std::byte>(encoding().bytes())};
  EncodedView view;
  if (!impl_->VectorOf(*element, copy.bytes, view)) return std::nullopt;
  if (view.bytes.data() != copy.bytes.data()) std::ranges::copy(view.bytes, copy.bytes.begin());
  copy.norm = view.norm;
  copy.range = view.range;
  return copy;
}

std::optional<std::vector<Neighbor>> VectorSet::Links(std::string_view name) const {
  const std::optional<EncodedVector> vector = Vector(name);
  if (!vector) return std::nullopt;
  const size_t links = options().links;
  std::vector<Neighbor> neighbors;
  const auto found = Search(*vector, {.count = links + 1, .ef = std::max(kDefaultEf, links + 1)});
  if (!found) return neighbors;
  for (const Found& hit : *found)
    if (hit.name != name && neighbors.size() < links) neighbors.push_back({hit.name, hit.score});
  return neighbors;
}

std::vector<std::string> VectorSet::RandomMembers(size_t count, Repeats repeats,
                                                  uint64_t seed) const {
  return impl_->RandomMembers(count, repeats, seed);
}
std::vector<std::string> VectorSet::Range(const NameBound& first, const NameBound& last,
                                          size_t limit) const {
  return impl_->Range(first, last, limit);
}
void VectorSet::ForEach(const std::function<void(const ElementView&)>& visit) const {
  impl_->ForEach(visit);
}

const Encoding& VectorSet::encoding() const { return impl_->encoding(); }
const VectorSetOptions& VectorSet::options() const { return impl_->options(); }
size_t VectorSet::size() const { return impl_->size(); }
VectorSetInfo VectorSet::Info() const { return impl_->Info(); }
VectorSetMemory VectorSet::Memory() const { return impl_->Memory(); }

void AppendDigestBytes(const ElementView& element, std::string& out) {
  const auto append = [&](const auto& number) {
    out.append(reinterpret_cast<const char*>(&number), sizeof(number));
  };
  append(uint64_t{element.name.size()});
  append(uint64_t{element.attribute.size()});
  out.append(element.name).append(element.attribute);
  append(element.vector.norm);
  append(element.vector.range);
  out.append(reinterpret_cast<const char*>(element.vector.bytes.data()),
             element.vector.bytes.size());
}

}  // namespace shoal::vset
