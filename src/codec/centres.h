// The centres of RqCodec's sets of parameters (rq_codec.h): two places, of which one or both are
// alive. They never move in memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/rotation.h"
#include "shoal/result.h"

namespace shoal {

class Centres {
 public:
  struct State {
    uint32_t alive = 1;    // A bit a set.
    uint32_t current = 0;  // The set that rows are encoded with.
    bool has(uint32_t set) const { return (alive >> set & 1) != 0; }
  };

  // What rows are relative to: the centre, as an origin, or its direction.
  enum class Role : uint8_t { kOrigin, kDirection };

  // Set 0 is alive, with the origin as its centre. `dim`: of a centre.
  Centres(Role role, size_t dim, size_t rotated_dim);

  // Any thread. What is read of a set that was alive then stays until Announce takes its place.
  State state() const {
    const uint32_t packed = state_.load(std::memory_order_acquire);  // SET.2.
    return {packed & 3, packed >> 2};
  }
  const float* centre(uint32_t set) const { return sets_[set].centre.data(); }
  // The centre, or a vector of length 1 along it: 0 where the centre is.
  const float* reference(uint32_t set) const { return sets_[set].reference.data(); }
  // The reference, rotated.
  const float* rotated(uint32_t set) const { return sets_[set].rotated.data(); }

  // One thread at a time; see RqCodec::AnnounceCentre, UseCentre and DropCentre.
  Result<uint32_t> Announce(std::span<const float> centre, const Rotation& rotation);
  void Use(uint32_t set);
  void Drop(uint32_t set);

  // The state and the centres of the sets that are alive.
  void Write(std::vector<std::byte>& bytes) const;
  // Of what Write wrote. Corrupt: these are not such bytes.
  Status Read(std::span<const std::byte> bytes, const Rotation& rotation);

 private:
  struct Set {
    std::vector<float> centre, reference, rotated;
  };

  void Fill(uint32_t set, std::span<const float> centre, const Rotation& rotation);
  void SetState(const State& state) {
    state_.store(state.alive | state.current << 2, std::memory_order_release);  // SET.1.
  }

  const Role role_;
  Set sets_[2];
  // State, packed. SET.1, written behind a set's centre, pairs with SET.2.
  std::atomic<uint32_t> state_{1};
};

}  // namespace shoal
