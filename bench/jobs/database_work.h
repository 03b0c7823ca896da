// What the job "database" works on: a database and the rows of its points, and the figures.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "jobs/database_peer.h"
#include "jobs/input.h"
#include "jobs/random.h"
#include "shoal/database.h"

namespace shoal::bench {

struct DatabaseJobOptions {
  InputRequest data;
  IndexOptions index;
  Code file_code = Code::kRq4;  // Of the index that has its vectors in the file.
  uint32_t pass_percent = 8, least_changes = 4096;
  size_t threads = 2, commits = 200, turnovers = 3, readers = 4, rounds = 3;
  std::vector<uint64_t> lists;
  double seconds = 1, write_rate = 50, least_recall = 0.9;
};

// Functions throw std::runtime_error.
class DatabaseWork {
 protected:
  explicit DatabaseWork(DatabaseJobOptions options) : options_(std::move(options)) {}

  void RemoveFiles() const { std::filesystem::remove_all(folder_.path); }
  void Close() {
    index_.reset();
    database_.reset();
  }

  // target: "<= 4" or ">= 0.5"; "": none.
  void Put(const std::string& figure, double value, const std::string& target = "") {
    Json row{{"figure", figure}, {"value", value}, {"target", target}};
    if (!target.empty()) {
      const double bound = std::stod(target.substr(3));
      row["holds"] = (target[0] == '<' ? value <= bound : value >= bound) ? "yes" : "no";
    }
    context_->say(row.dump());
    rows_.push_back(std::move(row));
    context_->checkpoint({{"database", rows_}});
  }
  void PutLatencies(const std::string& what, Latencies latencies, const std::string& target = "") {
    Put(what + ": p50", latencies.Percentile(0.5), target);
    Put(what + ": p99", latencies.Percentile(0.99));
  }

  void Open(SyncLevel level) { Open(level, options_.pass_percent); }
  void Open(SyncLevel level, uint32_t pass_percent) {
    Close();
    database_ = OrThrow(Database::Open(
        folder_.database(),
        {.sync = level, .pass_percent = pass_percent, .least_changes = options_.least_changes}));
    const auto names = OrThrow(database_->IndexNames());
    index_ = names.empty() ? OrThrow(database_->CreateIndex(kDatabaseIndex, Options()))
                           : OrThrow(database_->OpenIndex(kDatabaseIndex));
  }
  IndexOptions Options() const {
    IndexOptions options = options_.index;
    options.dim = static_cast<uint32_t>(input_.rows.dim());
    options.scalar_type = input_.rows.type();
    options.metric = input_.metric;
    return options;
  }

  VectorView Row(size_t i) const { return input_.rows[i]; }
  void ExpectPoints(size_t points) const {
    const auto snapshot = OrThrow(DatabaseSnapshot::Open(folder_.database(), kDatabaseIndex));
    for (const size_t found : {index_->live().size(), snapshot.size()})
      if (found != points)
        context_->violated(fmt::format("points: expected {}, found {}", points, found));
  }

  // Inserts or replaces in one transaction.
  void Batch(std::span<const ExternalId> ids, const std::vector<uint32_t>& rows) {
    const Matrix batch = Gather(rows);
    Transaction change = OrThrow(database_->Begin());
    const BatchReport report =
        OrThrow(change.UpsertMany(*index_, ids, batch, {.threads = options_.threads}));
    if (!report.failures.empty()) throw std::runtime_error(report.failures[0].error.message);
    OrThrow(change.Commit());
  }
  Matrix Gather(const std::vector<uint32_t>& rows) const {
    Matrix batch = OrThrow(Matrix::Create(input_.rows.type(), rows.size(), input_.rows.dim()));
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(static_cast<const std::byte*>(Row(rows[i]).data()), batch.row_bytes(),
                  static_cast<std::byte*>(batch.data()) + i * batch.row_bytes());
    return batch;
  }
  // The rows [begin, end) under their own numbers.
  void Insert(size_t begin, size_t end) {
    std::vector<ExternalId> ids(end - begin);
    std::vector<uint32_t> rows(end - begin);
    std::iota(ids.begin(), ids.end(), begin);
    std::iota(rows.begin(), rows.end(), static_cast<uint32_t>(begin));
    Batch(ids, rows);
  }
  // The ids take each other's rows.
  void Rotate(std::span<const ExternalId> ids) {
    std::vector<uint32_t> rows;
    for (size_t i = 0; i < ids.size(); ++i) rows.push_back(row_of_[ids[(i + 1) % ids.size()]]);
    for (size_t i = 0; i < ids.size(); ++i) row_of_[ids[i]] = rows[i];
    Batch(ids, rows);
  }
  void RotateShuffled(size_t count) {
    std::vector<ExternalId> ids(count_);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    for (size_t i = count_; i > 1; --i) std::swap(ids[i - 1], ids[random_.Below(i)]);
    for (size_t i = 0; i < count; i += kDatabaseBatch)
      Rotate(std::span(ids).subspan(i, std::min(kDatabaseBatch, count - i)));
  }

  template <class Change>
  void Commit(const Change& change) {
    Transaction transaction = OrThrow(database_->Begin());
    change(transaction);
    OrThrow(transaction.Commit());
  }

  const DatabaseJobOptions options_;
  const JobContext* context_ = nullptr;
  DatabaseFolder folder_;
  Input input_;
  TruthSet truth_;
  size_t count_ = 0;              // Rows; and points, once all are there.
  std::vector<uint32_t> row_of_;  // By id.
  Random random_{1};
  std::optional<Database> database_;
  std::optional<StoredIndex> index_;
  Json rows_ = Json::array();
};

}  // namespace shoal::bench
