// shoal._shoal.Database, StoredIndex, Transaction and DatabaseSnapshot: what shoal/_database.py
// calls. Arguments have been converted there.
#include "shoal/database.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <mutex>
#include <string>

#include "options.h"
#include "searching.h"

namespace shoal::python {
namespace {

using DatabaseHandle = Handle<Database>;
using StoredHandle = Handle<StoredIndex>;
using SnapshotHandle = Handle<DatabaseSnapshot>;

// A transaction is used by one thread at a time: the others wait.
struct OneThread {
  explicit OneThread(Transaction begun) : transaction(std::move(begun)) {}
  OneThread(OneThread&& other) noexcept : transaction(std::move(other.transaction)) {}
  Transaction transaction;
  std::mutex mutex;
};
using TransactionHandle = Handle<OneThread>;

// Keys of shoal/_database.py's options.
DatabaseOptions DatabaseOptionsOf(nb::handle dict) {
  DatabaseOptions options;
  options.create = nb::cast<bool>(dict["create"]);
  options.sync = static_cast<SyncLevel>(nb::cast<uint8_t>(dict["sync"]));
  options.interval_ms = nb::cast<uint32_t>(dict["interval_ms"]);
  options.max_bytes = nb::cast<uint64_t>(dict["max_bytes"]);
  options.max_readers = nb::cast<uint32_t>(dict["max_readers"]);
  return options;
}

DatabaseHandle* Open(const std::string& path, nb::handle options_dict) {
  const DatabaseOptions options = DatabaseOptionsOf(options_dict);
  return new DatabaseHandle(ValueOf(WithoutGil([&] { return Database::Open(path, options); })),
                            "the database is closed");
}

StoredHandle* CreateIndex(const DatabaseHandle& self, const std::string& name, nb::handle options,
                          nb::handle runtime) {
  const std::shared_ptr<Database> database = self.Use();
  const IndexOptions index = OptionsOf(options, runtime);
  return new StoredHandle(ValueOf(WithoutGil([&] { return database->CreateIndex(name, index); })));
}

StoredHandle* OpenIndex(const DatabaseHandle& self, const std::string& name, nb::handle runtime,
                        int64_t threads, nb::object progress) {
  const std::shared_ptr<Database> database = self.Use();
  LoadOptions options{.runtime = RuntimeOf(runtime)};
  return new StoredHandle(ValueOf(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                                               [&](const BatchOptions& batch) {
                                                 options.batch = batch;
                                                 return database->OpenIndex(name, options);
                                               })));
}

nb::list IndexNames(const DatabaseHandle& self) {
  const std::shared_ptr<Database> database = self.Use();
  nb::list names;
  for (const std::string& name : ValueOf(WithoutGil([&] { return database->IndexNames(); })))
    names.append(nb::str(name.c_str(), name.size()));
  return names;
}

TransactionHandle* Begin(const DatabaseHandle& self) {
  const std::shared_ptr<Database> database = self.Use();
  return new TransactionHandle(OneThread(ValueOf(WithoutGil([&] { return database->Begin(); }))),
                               "the transaction has ended");
}

nb::dict Stats(const DatabaseHandle& self) {
  const std::shared_ptr<Database> database = self.Use();
  const DatabaseStats stats = ValueOf(WithoutGil([&] { return database->Stat(); }));
  nb::dict dict;
  dict["file_bytes"] = stats.file_bytes;
  dict["row_bytes"] = stats.row_bytes;
  dict["graph_bytes"] = stats.graph_bytes;
  dict["log_bytes"] = stats.log_bytes;
  dict["max_bytes"] = stats.max_bytes;
  dict["commits"] = stats.commits;
  dict["snapshots"] = stats.snapshots;
  dict["oldest_lag"] = stats.oldest_lag;
  dict["queued_changes"] = stats.queued_changes;
  dict["pending_changes"] = stats.pending_changes;
  dict["passes"] = stats.passes;
  dict["written_bytes"] = stats.written_bytes;
  return dict;
}

void Backup(const DatabaseHandle& self, const std::string& path, bool compact,
            nb::object progress) {
  const std::shared_ptr<Database> database = self.Use();
  const Database::Copy copy = compact ? Database::Copy::kCompact : Database::Copy::kAsItIs;
  ValueOf(ResultOfLong({.progress = std::move(progress)}, [&](const BatchOptions& batch) {
    return database->Backup(path, copy, batch);
  }));
}

// call(transaction) by one thread at a time, without the GIL.
template <class Call>
auto InTurn(const TransactionHandle& self, const Call& call) {
  const std::shared_ptr<OneThread> one = self.Use();
  return ValueOf(WithoutGil([&] {
    const std::lock_guard lock(one->mutex);
    return call(one->transaction);
  }));
}

// A change of one point.
template <class Call>
void Change(const TransactionHandle& self, const StoredHandle& index, nb::handle vector,
            const Call& call) {
  const std::shared_ptr<StoredIndex> stored = index.Use();
  const VectorArray array = VectorsOf(vector, stored->live().options());
  InTurn(self,
         [&](Transaction& transaction) { return call(transaction, *stored, array.vector()); });
}

// Of many.
template <class Call>
nb::tuple ChangeMany(const TransactionHandle& self, const StoredHandle& index, nb::handle ids,
                     nb::handle vectors, const BatchCall& how, const Call& call) {
  const std::shared_ptr<OneThread> one = self.Use();
  const std::shared_ptr<StoredIndex> stored = index.Use();
  const std::span<const uint64_t> id_span = IdsOf(ids);
  const VectorArray array = VectorsOf(vectors, stored->live().options());
  return TupleOf(ValueOf(
      ResultOfLong({how.threads, how.progress, id_span.size()}, [&](const BatchOptions& batch) {
        const std::lock_guard lock(one->mutex);
        return call(one->transaction, *stored, id_span, array.matrix(), batch);
      })));
}

nb::tuple TransactionInsertMany(const TransactionHandle& self, const StoredHandle& index,
                                nb::handle ids, nb::handle vectors, int64_t threads,
                                nb::object progress) {
  return ChangeMany(
      self, index, ids, vectors, {CountOf("threads", threads), std::move(progress)},
      [](Transaction& transaction, const StoredIndex& stored, std::span<const uint64_t> id_span,
         MatrixView rows, const BatchOptions& batch) {
        return transaction.InsertMany(stored, id_span, rows, batch);
      });
}

nb::tuple TransactionUpsertMany(const TransactionHandle& self, const StoredHandle& index,
                                nb::handle ids, nb::handle vectors, int64_t threads,
                                nb::object progress) {
  return ChangeMany(
      self, index, ids, vectors, {CountOf("threads", threads), std::move(progress)},
      [](Transaction& transaction, const StoredIndex& stored, std::span<const uint64_t> id_span,
         MatrixView rows, const BatchOptions& batch) {
        return transaction.UpsertMany(stored, id_span, rows, batch);
      });
}

void BindTransaction(nb::module_& module) {
  using nb::arg;
  using H = TransactionHandle;
  nb::class_<H>(module, "Transaction")
      .def(
          "insert",
          [](const H& self, const StoredHandle& index, uint64_t id, nb::handle vector) {
            Change(self, index, vector, [&](Transaction& t, const StoredIndex& i, VectorView v) {
              return t.Insert(i, id, v);
            });
          },
          arg("index"), arg("id"), arg("vector"))
      .def(
          "upsert",
          [](const H& self, const StoredHandle& index, uint64_t id, nb::handle vector) {
            Change(self, index, vector, [&](Transaction& t, const StoredIndex& i, VectorView v) {
              return t.Upsert(i, id, v);
            });
          },
          arg("index"), arg("id"), arg("vector"))
      .def(
          "delete",
          [](const H& self, const StoredHandle& index, uint64_t id) {
            const std::shared_ptr<StoredIndex> stored = index.Use();
            InTurn(self, [&](Transaction& t) { return t.Delete(*stored, id); });
          },
          arg("index"), arg("id"))
      .def("insert_many", &TransactionInsertMany, arg("index"), arg("ids"), arg("vectors"),
           arg("threads"), arg("progress").none())
      .def("upsert_many", &TransactionUpsertMany, arg("index"), arg("ids"), arg("vectors"),
           arg("threads"), arg("progress").none())
      .def(
          "put",
          [](const H& self, const std::string& table, nb::bytes key, nb::bytes value) {
            InTurn(self, [&](Transaction& t) {
              return t.PutRecord(table, {key.c_str(), key.size()}, {value.c_str(), value.size()});
            });
          },
          arg("table"), arg("key"), arg("value"))
      .def(
          "remove",
          [](const H& self, const std::string& table, nb::bytes key) {
            InTurn(self, [&](Transaction& t) {
              return t.DeleteRecord(table, {key.c_str(), key.size()});
            });
          },
          arg("table"), arg("key"))
      .def("commit", [](const H& self) { InTurn(self, [](Transaction& t) { return t.Commit(); }); })
      .def("abort",
           [](const H& self) {
             InTurn(self, [](Transaction& t) {
               t.Abort();
               return Status();
             });
           })
      .def("close", &H::Close)
      .def_prop_ro("closed", &H::closed);
}

// A change of one point, committed when it returns.
template <class Call>
void CommitOne(const StoredHandle& self, nb::handle vector, const Call& call) {
  const std::shared_ptr<StoredIndex> index = self.Use();
  const VectorArray array = VectorsOf(vector, index->live().options());
  ValueOf(WithoutGil([&] { return call(*index, array.vector()); }));
}

void BindStoredIndex(nb::module_& module) {
  using nb::arg;
  using H = StoredHandle;
  nb::class_<H> type(module, "StoredIndex");
  BindSearching(type);
  type.def(
          "insert",
          [](const H& self, uint64_t id, nb::handle vector) {
            CommitOne(self, vector, [&](StoredIndex& i, VectorView v) { return i.Insert(id, v); });
          },
          arg("id"), arg("vector"))
      .def(
          "upsert",
          [](const H& self, uint64_t id, nb::handle vector) {
            CommitOne(self, vector, [&](StoredIndex& i, VectorView v) { return i.Upsert(id, v); });
          },
          arg("id"), arg("vector"))
      .def(
          "delete",
          [](const H& self, uint64_t id) {
            const std::shared_ptr<StoredIndex> index = self.Use();
            ValueOf(WithoutGil([&] { return index->Delete(id); }));
          },
          arg("id"))
      .def("ids",
           [](const H& self) {
             const std::shared_ptr<StoredIndex> index = self.Use();
             return ArrayOf(ValueOf(WithoutGil([&] { return index->live().Ids(); })));
           })
      .def("stats", [](const H& self) {
        const std::shared_ptr<StoredIndex> index = self.Use();
        return DictOf(WithoutGil([&] { return index->live().Stats(); }));
      });
}

void BindSnapshot(nb::module_& module) {
  using nb::arg;
  using H = SnapshotHandle;
  nb::class_<H> type(module, "DatabaseSnapshot");
  BindSearching(type);
  type.def_static(
          "open",
          [](const std::string& path, const std::string& name) {
            return new H(ValueOf(WithoutGil([&] { return DatabaseSnapshot::Open(path, name); })),
                         "the snapshot is closed");
          },
          arg("path"), arg("index"))
      .def("ids",
           [](const H& self) {
             const std::shared_ptr<DatabaseSnapshot> snapshot = self.Use();
             return ArrayOf(ValueOf(WithoutGil([&] { return snapshot->Ids(); })));
           })
      .def(
          "dump",
          [](const H& self, const std::string& vectors, const std::string& ids,
             nb::object progress) {
            const std::shared_ptr<DatabaseSnapshot> snapshot = self.Use();
            ValueOf(ResultOfLong({.progress = std::move(progress)}, [&](const BatchOptions& batch) {
              return snapshot->Dump(vectors, ids, batch);
            }));
          },
          arg("vectors"), arg("ids"), arg("progress").none())
      .def(
          "verify",
          [](const H& self, nb::object progress) {
            const std::shared_ptr<DatabaseSnapshot> snapshot = self.Use();
            ValueOf(ResultOfLong({.progress = std::move(progress)}, [&](const BatchOptions& batch) {
              return snapshot->Verify(batch);
            }));
          },
          arg("progress").none());
}

}  // namespace

void BindDatabase(nb::module_& module) {
  using nb::arg;
  using H = DatabaseHandle;
  BindStoredIndex(module);
  BindTransaction(module);
  BindSnapshot(module);
  nb::class_<H>(module, "Database")
      .def_static("open", &Open, arg("path"), arg("options"))
      .def("create_index", &CreateIndex, arg("name"), arg("options"), arg("runtime"))
      .def("open_index", &OpenIndex, arg("name"), arg("runtime"), arg("threads"),
           arg("progress").none())
      .def("index_names", &IndexNames)
      .def("begin", &Begin)
      .def(
          "records",
          [](const H& self, const std::string& table) {
            const std::shared_ptr<Database> database = self.Use();
            nb::dict dict;
            for (const Record& record :
                 ValueOf(WithoutGil([&] { return database->Records(table); })))
              dict[nb::bytes(record.key.data(), record.key.size())] =
                  nb::bytes(record.value.data(), record.value.size());
            return dict;
          },
          arg("table"))
      .def("stats", &Stats)
      .def("backup", &Backup, arg("path"), arg("compact"), arg("progress").none())
      .def("flush",
           [](const H& self) {
             const std::shared_ptr<Database> database = self.Use();
             ValueOf(WithoutGil([&] { return database->Flush(); }));
           })
      .def(
          "run_pass",
          [](const H& self, nb::object progress) {
            const std::shared_ptr<Database> database = self.Use();
            ValueOf(ResultOfLong({.progress = std::move(progress)},
                                 [&](const BatchOptions& batch) { return database->Pass(batch); }));
          },
          arg("progress").none())
      .def("close", &H::Close)
      .def_prop_ro("closed", &H::closed);
}

}  // namespace shoal::python
