// Rows as a codec encodes them.
#pragma once

#include <cstddef>
#include <vector>

#include "codec/codec.h"
#include "shoal/types.h"

namespace shoal::test {

class CodedRows {
 public:
  explicit CodedRows(Codec& codec) : codec_(codec), buffer_(codec.buffer_bytes()) {}
  CodedRows(Codec& codec, MatrixView rows) : CodedRows(codec) { Add(rows); }

  void Add(MatrixView rows) {
    const size_t first = size_;
    size_ += rows.rows();
    bytes_.resize(size_ * codec_.row_bytes());
    for (size_t i = first; i < size_; ++i) codec_.Encode(rows[i - first], At(i));
    pointers_.clear();
    for (size_t i = 0; i < size_; ++i) pointers_.push_back(At(i));
  }

  size_t size() const { return size_; }
  const std::byte* operator[](size_t i) const { return pointers_[i]; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // Distances of all rows.
  std::vector<float> Score(const Scorer& scorer) const {
    std::vector<float> out(size_);
    scorer.Score(pointers_.data(), size_, out.data());
    return out;
  }
  std::vector<float> ScoreQuery(VectorView query) {
    return Score(codec_.BindQuery(query, buffer_.data()));
  }
  std::vector<float> ScoreRow(const std::byte* row) {
    return Score(codec_.BindRow(row, buffer_.data()));
  }
  std::vector<float> ScoreRowAsQuery(const std::byte* row) {
    return Score(codec_.BindRowAsQuery(row, buffer_.data()));
  }
  // Row i as floats; the codec's vectors are float32.
  std::vector<float> Decoded(size_t i, size_t dim) const {
    std::vector<float> out(dim);
    codec_.Decode(pointers_[i], out);
    return out;
  }

 private:
  std::byte* At(size_t i) { return bytes_.data() + i * codec_.row_bytes(); }

  Codec& codec_;
  size_t size_ = 0;
  std::vector<std::byte> bytes_, buffer_;
  std::vector<const std::byte*> pointers_;
};

}  // namespace shoal::test
