// Kernels for rows of small codes, compiled once per instruction set; the layout is in
// code_kernels.h.
//
// Highway 1.0.3 has no product of unsigned with signed bytes, so that step is intrinsics. With
// AVX512_VNNI it sums to int32. Without, neighbouring products are summed to int16, which
// saturates: a code of up to 4 bits keeps clear of that. |u v| <= 15 * 127, so a pair is at most
// 3,810 and the runs of one block (B = 4: 2, 3: 8, 2: 4, 1: 8) at most 14,224. They are widened
// block by block. Codes of 8 bits would saturate: they are widened to int16 before they are
// multiplied.

#include "distance/code_kernels.h"
#include "distance/int-inl.h"
#include "distance/vnni-inl.h"

#if defined(SHOAL_DISTANCE_CODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_CODE_INL_H_
#undef SHOAL_DISTANCE_CODE_INL_H_
#else
#define SHOAL_DISTANCE_CODE_INL_H_
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

// `count` bytes at p, then zeros, for count in 1..16. Two loads that may overlap, instead of a call
// of memcpy and a load that waits for it.
HWY_INLINE hn::Vec128<uint8_t> UpTo16Bytes(const std::byte* p, size_t count) {
  uint64_t low = 0, high = 0;
  if (count >= 8) {
    __builtin_memcpy(&low, p, 8);
    if (count > 8) {
      __builtin_memcpy(&high, p + count - 8, 8);
      high >>= 8 * (16 - count);
    }
  } else if (count >= 4) {
    uint32_t first, last;
    __builtin_memcpy(&first, p, 4);
    __builtin_memcpy(&last, p + count - 4, 4);
    low = first | (static_cast<uint64_t>(last) << (8 * (count - 4)));
  } else {
    const auto byte = [p](size_t i) HWY_ATTR { return static_cast<uint64_t>(p[i]) << (8 * i); };
    low = byte(0) | byte(count / 2) | byte(count - 1);
  }
  return hn::Vec128<uint8_t>{_mm_set_epi64x(static_cast<long long>(high),   // NOLINT: theirs
                                            static_cast<long long>(low))};  // NOLINT
}

// A register of bytes of which only the first `count`, 1 to all but one, are read; then zeros.
HWY_INLINE hn::Vec<Bytes> FirstBytes(const std::byte* p, size_t count) {
#if HWY_CAP_GE512
  return LoadFirst(Bytes(), At<uint8_t>(p, 0), count);
#elif HWY_TARGET == HWY_AVX2
  const hn::Half<Bytes> half;
  if (count < 16) return hn::ZeroExtendVector(Bytes(), UpTo16Bytes(p, count));
  const hn::Vec<decltype(half)> low = hn::LoadU(half, At<uint8_t>(p, 0));
  if (count == 16) return hn::ZeroExtendVector(Bytes(), low);
  return hn::Combine(Bytes(), UpTo16Bytes(p + 16, count - 16), low);
#else
  return UpTo16Bytes(p, count);
#endif
}

#if HWY_TARGET != HWY_AVX3_DL
// The sums of neighbouring products, saturated.
HWY_INLINE hn::Vec<Shorts> MulPairs(hn::Vec<Bytes> codes, hn::Vec<Bytes> query) {
#if HWY_CAP_GE512
  return hn::Vec<Shorts>{_mm512_maddubs_epi16(codes.raw, query.raw)};
#elif HWY_TARGET == HWY_AVX2
  return hn::Vec<Shorts>{_mm256_maddubs_epi16(codes.raw, query.raw)};
#else
  return hn::Vec<Shorts>{_mm_maddubs_epi16(codes.raw, query.raw)};
#endif
}
#endif

template <int kShift>
HWY_INLINE hn::Vec<Bytes> ShiftRightBytes(hn::Vec<Bytes> v) {  // Brings bits of a neighbour along.
  const hn::ScalableTag<uint16_t> d;
  return hn::BitCast(Bytes(), hn::ShiftRight<kShift>(hn::BitCast(d, v)));
}
template <int kShift>
HWY_INLINE hn::Vec<Bytes> BitsAt(hn::Vec<Bytes> v, int mask) {
  return hn::And(ShiftRightBytes<kShift>(v), hn::Set(Bytes(), static_cast<uint8_t>(mask)));
}

// What the kernels of codes have in common: a row is read by Step, as only the query knows where.
struct CodeKernelBase : IntKernel {
  using Element = std::byte;
  struct Query {
    const std::byte* elements;
    size_t run, offset;
    // A register of elements of one run.
    HWY_INLINE hn::Vec<Bytes> Run(size_t r) const {
      return hn::LoadU(Bytes(), At<uint8_t>(elements + r * run, 0));
    }
  };
  struct Row {
    const std::byte* at;
  };
  struct PartOfRow {
    const std::byte* at;
    size_t count;
  };
  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i) { return {v + i}; }
  static HWY_INLINE PartOfRow LoadRow(const std::byte* v, size_t i, size_t count) {
    return {v + i, count};
  }
  static HWY_INLINE const CodeQuery& QueryAt(const std::byte* v) {
    return *reinterpret_cast<const CodeQuery*>(v);
  }
};

template <int kBits>
struct CodeKernel : CodeKernelBase {
  static constexpr size_t kBlock = hn::MaxLanes(Bytes());
  static constexpr size_t kRuns = CodeRuns(kBits);
  static constexpr size_t kSections = CodeSections(kBits);
  struct Codes {
    hn::Vec<Bytes> section[kSections];
  };

  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t = 0) {
    const CodeQuery& query = QueryAt(v);
    return {static_cast<const std::byte*>(query.elements) + i, query.run, query.offset};
  }
  static HWY_INLINE size_t RowBytes(const std::byte* v, size_t run) {
    return QueryAt(v).offset + kSections * run;
  }

  // The elements of one run.
  template <int kRun>
  static HWY_INLINE hn::Vec<Bytes> ElementsOf(const Codes& codes) {
    if constexpr (kBits != 3) {
      return BitsAt<kBits * kRun>(codes.section[0], (1 << kBits) - 1);
    } else if constexpr (kRun < 6) {
      return BitsAt<3 * (kRun % 2)>(codes.section[kRun / 2], 7);
    } else {
      return hn::Or(BitsAt<6>(codes.section[kRun - 6], 3), BitsAt<kRun - 2>(codes.section[2], 4));
    }
  }

  // `q`: has run r of the query as Run(r), where `codes` have its elements.
#if HWY_TARGET == HWY_AVX3_DL
  template <int kRun = 0, class Q>
  static HWY_INLINE void AddRuns(const Q& q, const Codes& codes, Sums& sums) {
    if constexpr (kRun < static_cast<int>(kRuns)) {
      hn::Vec<Ints>& sum = kRun % 2 == 0 ? sums.a : sums.b;
      sum = MulAddQuads(ElementsOf<kRun>(codes), q.Run(kRun), sum);
      AddRuns<kRun + 1>(q, codes, sums);
    }
  }
#else
  template <int kRun, class Q>
  static HWY_INLINE hn::Vec<Shorts> SumOfRuns(const Q& q, const Codes& codes, hn::Vec<Shorts> sum) {
    if constexpr (kRun < static_cast<int>(kRuns)) {
      const auto products = MulPairs(ElementsOf<kRun>(codes), q.Run(kRun));
      return SumOfRuns<kRun + 1>(q, codes, hn::Add(sum, products));
    } else {
      return sum;
    }
  }
  template <class Q>
  static HWY_INLINE void AddRuns(const Q& q, const Codes& codes, Sums& sums) {
    const auto shorts = SumOfRuns<0>(q, codes, hn::Zero(Shorts()));
    sums.a = MulAddPairs(shorts, hn::Set(Shorts(), 1), sums.a);
  }
#endif

  static HWY_INLINE void Step(const Query& q, Row r, Sums& sums) {
    Codes codes;
#pragma GCC unroll 3
    for (size_t s = 0; s < kSections; ++s)
      codes.section[s] = hn::LoadU(Bytes(), At<uint8_t>(r.at + q.offset + s * q.run, 0));
    AddRuns(q, codes, sums);
  }
  static HWY_INLINE void Step(const Query& q, PartOfRow r, Sums& sums) {
    Codes codes;
#pragma GCC unroll 3
    for (size_t s = 0; s < kSections; ++s)
      codes.section[s] = FirstBytes(r.at + q.offset + s * q.run, r.count);
    AddRuns(q, codes, sums);
  }
};

// Rows whose runs are so short that kSharing rows, 2 or 4, fill a register: a step is on as many.
template <int kBits, size_t kSharing>
struct ShortCodeKernel : CodeKernel<kBits> {
  using Base = CodeKernel<kBits>;
  static constexpr size_t kLongestRun = Base::kBlock / kSharing;

  struct SharedQuery {
    const std::byte* elements;
    size_t run;
    // The elements of one run, for each of the rows.
    HWY_INLINE hn::Vec<Bytes> Run(size_t r) const {
      return ForEachRow(Bytes(), At<uint8_t>(elements + r * run, 0));
    }
  };
  template <class D>
  static HWY_INLINE hn::Vec<D> ForEachRow(D d, const uint8_t* run) {
    if constexpr (hn::MaxLanes(d) == kLongestRun) {
      return hn::LoadU(d, run);
    } else if constexpr (kLongestRun == 16) {
      return hn::LoadDup128(d, run);
    } else {
      const auto half = ForEachRow(hn::Half<D>(), run);
      return hn::Combine(d, half, half);
    }
  }
  // Bytes [at, at + count) of rows, side by side.
  template <class D>
  static HWY_INLINE hn::Vec<D> LoadRows(D d, const std::byte* const* rows, size_t at,
                                        size_t count) {
    if constexpr (hn::MaxLanes(d) > kLongestRun) {
      const hn::Half<D> half;
      const auto low = LoadRows(half, rows, at, count);
      return hn::Combine(d, LoadRows(half, rows + hn::MaxLanes(half) / kLongestRun, at, count),
                         low);
    } else if (count == kLongestRun) {
      return hn::LoadU(d, At<uint8_t>(*rows, at));
    } else {
#if HWY_CAP_GE512
      return LoadFirst(d, At<uint8_t>(*rows, at), count);
#else
      return UpTo16Bytes(*rows + at, count);
#endif
    }
  }
  // The sums of rows side by side, each as four lanes.
  template <class D, class V4>
  static HWY_INLINE void Separate(D d, hn::Vec<D> sums, V4* out) {
    if constexpr (hn::MaxLanes(d) * sizeof(int32_t) > kLongestRun) {
      const hn::Half<D> half;
      Separate(half, hn::LowerHalf(half, sums), out);
      Separate(half, hn::UpperHalf(half, sums),
               out + hn::MaxLanes(half) * sizeof(int32_t) / kLongestRun);
    } else {
      *out = FoldToFour(d, sums);
    }
  }

  // The sums of four rows.
  static HWY_INLINE hn::Vec128<int32_t> SumsOfFour(const std::byte* v, const std::byte* const* rows,
                                                   size_t run) {
    const CodeQuery& query = Base::QueryAt(v);
    const SharedQuery shared{static_cast<const std::byte*>(query.elements), query.run};
    hn::Vec128<int32_t> four[4];
#pragma GCC unroll 2
    for (size_t r = 0; r < 4; r += kSharing) {
      typename Base::Codes codes;
#pragma GCC unroll 3
      for (size_t s = 0; s < Base::kSections; ++s)
        codes.section[s] = LoadRows(Bytes(), rows + r, query.offset + s * run, run);
      typename Base::Sums sums = Base::Zero();
      Base::AddRuns(shared, codes, sums);
      Separate(Ints(), Base::Total(sums), four + r);
    }
    return SumFourByFour(hn::Full128<int32_t>(), four[0], four[1], four[2], four[3]);
  }
};

// Codes of 8 bits, and a query of int16.
struct ByteCodeKernel : CodeKernelBase {
  using HalfBytes = hn::Rebind<uint8_t, Shorts>;
  static constexpr size_t kLanes = hn::MaxLanes(Shorts());
  static constexpr size_t kBlock = 2 * kLanes;

  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t = 0) {
    const CodeQuery& query = QueryAt(v);
    return {static_cast<const std::byte*>(query.elements) + i * sizeof(int16_t), query.run,
            query.offset};
  }
  static HWY_INLINE size_t RowBytes(const std::byte* v, size_t run) {
    return QueryAt(v).offset + run;
  }
  static HWY_INLINE void AddHalves(const Query& q, hn::Vec<HalfBytes> low, hn::Vec<HalfBytes> high,
                                   Sums& sums) {
    const Shorts d;
    sums.a = MulAddPairs(hn::PromoteTo(d, low), hn::LoadU(d, At<int16_t>(q.elements, 0)), sums.a);
    sums.b =
        MulAddPairs(hn::PromoteTo(d, high), hn::LoadU(d, At<int16_t>(q.elements, kLanes)), sums.b);
  }
  static HWY_INLINE void Step(const Query& q, Row r, Sums& sums) {
    const std::byte* code = r.at + q.offset;
    AddHalves(q, hn::LoadU(HalfBytes(), At<uint8_t>(code, 0)),
              hn::LoadU(HalfBytes(), At<uint8_t>(code, kLanes)), sums);
  }
  static HWY_INLINE void Step(const Query& q, PartOfRow r, Sums& sums) {
    const hn::Vec<Bytes> bytes = FirstBytes(r.at + q.offset, r.count);
    AddHalves(q, hn::LowerHalf(HalfBytes(), bytes), hn::UpperHalf(HalfBytes(), bytes), sums);
  }
};

template <class K>
static void CodeBatch(const void* query, const std::byte* const* rows, size_t n, size_t,
                      float* out) {
  Batch<K>(query, rows, n, static_cast<const CodeQuery*>(query)->run, out);
}

// The same for rows of up to 4 bits an element, by the kernel for runs of their length.
template <int kBits>
static void SmallCodeBatch(const void* query_data, const std::byte* const* rows, size_t n, size_t,
                           float* out) {
  [[maybe_unused]] const auto* query = static_cast<const std::byte*>(query_data);
  [[maybe_unused]] const size_t run = CodeKernelBase::QueryAt(query).run;
#if HWY_CAP_GE512
  using Quarters = ShortCodeKernel<kBits, 4>;
  if (run <= Quarters::kLongestRun) return AllRows<Quarters, kRowsAtOnce>(query, rows, n, run, out);
#endif
#if HWY_CAP_GE256
  using Halves = ShortCodeKernel<kBits, 2>;
  if (run <= Halves::kLongestRun) return AllRows<Halves, kRowsAtOnce>(query, rows, n, run, out);
#endif
  CodeBatch<CodeKernel<kBits>>(query, rows, n, run, out);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
